/** The ports of a swarm on this machine: the standard ones, so that people find them, or free ones. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { ShoalError } from "../lib/index.ts";

export interface LocalSwarmPorts {
  /** UDP and TCP. */
  rendezvous: number;
  diagnostics: number;
  api: number;
}

const STANDARD: LocalSwarmPorts = {
  rendezvous: 51820,
  diagnostics: 51821,
  api: 51822,
};
const HOST = "127.0.0.1";

/** Looks for a number a few times: one that is free for TCP may be taken for UDP. */
const ATTEMPTS = 20;

/**
 * The ports that were asked for; else the standard ones, or free ones where those are taken or `rest` says so. All are numbers: the
 * rendezvous' page names the API before the gateway runs, and nodes try the rendezvous' one number over QUIC and TCP.
 */
export async function choosePorts(
  asked: {
    rendezvousPort?: number | undefined;
    diagnosticsPort?: number | undefined;
    apiPort?: number | undefined;
  },
  rest: "standard" | "free" = "standard",
): Promise<LocalSwarmPorts> {
  const choose = async (
    name: keyof LocalSwarmPorts,
    port: number | undefined,
    isFree: (port: number) => Promise<boolean> = isFreeTcp,
  ): Promise<number> => {
    const wanted = port ?? (rest === "standard" ? STANDARD[name] : 0);
    if (wanted === 0) return await anyPort();
    if (await isFree(wanted)) return wanted;
    if (port === undefined) return await anyPort();
    throw new ShoalError("PORT_IN_USE", `port ${port} is in use`, { port });
  };
  return {
    rendezvous: await choose(
      "rendezvous",
      asked.rendezvousPort,
      async (port) => (await isFreeTcp(port)) && (await isFreeUdp(port)),
    ),
    diagnostics: await choose("diagnostics", asked.diagnosticsPort),
    api: await choose("api", asked.apiPort),
  };
}

async function anyPort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = await tcpPort(0);
    if (port !== undefined && (await isFreeUdp(port))) return port;
  }
  throw new ShoalError("PORT_IN_USE", "no port is free");
}

async function isFreeTcp(port: number): Promise<boolean> {
  return (await tcpPort(port)) !== undefined;
}

/** The port, which was listened on and is free again; undefined if it cannot be listened on. */
async function tcpPort(port: number): Promise<number | undefined> {
  const server = createServer();
  try {
    await once(server.listen(port, HOST), "listening");
  } catch {
    return undefined;
  }
  const found = (server.address() as AddressInfo).port;
  server.close();
  await once(server, "close");
  return found;
}

async function isFreeUdp(port: number): Promise<boolean> {
  const socket = createSocket("udp4");
  try {
    socket.bind(port, HOST);
    await once(socket, "listening");
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}
