/** Ports to listen on, tried before anything else is done: a node should not load gigabytes to find that its port is in use. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { ShoalError } from "../lib/index.ts";

export interface ListenPort {
  /** An IP address. */
  host: string;
  transport: string;
  /** 0: any free one. */
  port: number;
}

/** Of a multiaddr to listen on (parseListen). */
export function listenPort(address: string): ListenPort {
  const [, , host = "", transport = "", port = ""] = address.split("/");
  return { host, transport, port: Number(port) || 0 };
}

/** Rejects if it cannot be listened on for another reason than that somebody else does. */
export function isPortTaken(where: ListenPort): Promise<boolean> {
  return where.transport === "udp" ? udpTaken(where) : tcpTaken(where);
}

/** Throws PORT_IN_USE. What else keeps an address from being listened on is told by listening on it. */
export async function refuseTakenPorts(
  listen: readonly string[],
): Promise<void> {
  for (const address of listen) {
    const where = listenPort(address);
    if (where.port === 0 || !(await isPortTaken(where).catch(() => false)))
      continue;
    throw new ShoalError(
      "PORT_IN_USE",
      `${where.transport.toUpperCase()} port ${where.port} of ${where.host} is in use`,
      { ...where },
    );
  }
}

function tcpTaken({ host, port }: ListenPort): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(true);
      else reject(error);
    });
    server.listen({ host, port, exclusive: true }, () =>
      server.close(() => resolve(false)),
    );
  });
}

function udpTaken({ host, port }: ListenPort): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(true);
      else reject(error);
    });
    socket.bind({ address: host, port, exclusive: true }, () =>
      socket.close(() => resolve(false)),
    );
  });
}
