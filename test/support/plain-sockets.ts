/** Plain UDP and TCP sockets in a place of a lab: does what its parent asks, one thing after the other. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";

/** On a busy machine; only a fault takes as long. */
const PATIENCE_MS = 60_000;

export interface End {
  host: string;
  port: number;
}

export type SocketRequest =
  /** A UDP socket and a TCP server at this port. */
  | { do: "open"; port: number }
  /** By UDP. */
  | { do: "send"; from: number; to: End; text: string }
  /** The senders of all that has come by UDP until this text came. */
  | { do: "hear"; port: number; text: string }
  /** By TCP: as whom the other end sees this one, or why there is no connection. */
  | { do: "connect"; to: End; patienceMs?: number };

interface Heard {
  text: string;
  from: End;
}

const sockets = new Map<number, { udp: Socket; heard: Heard[] }>();

process.on("disconnect", () => process.exit());
process.on("message", (request: SocketRequest) => {
  void answer(request).then((reply) => process.send?.(reply));
});

async function answer(request: SocketRequest): Promise<unknown> {
  if (request.do === "open") return await open(request.port);
  if (request.do === "connect")
    return await reached(request.to, request.patienceMs ?? PATIENCE_MS);
  const { port } = request.do === "hear" ? request : { port: request.from };
  const { udp, heard } = sockets.get(port)!;
  if (request.do === "hear") {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    while (!heard.some(({ text }) => text === request.text))
      await once(udp, "message", { signal });
    return heard;
  }
  const { to, text } = request;
  await new Promise<void>((resolve) => {
    const host = to.host.includes(":") ? to.host : `::ffff:${to.host}`;
    udp.send(text, to.port, host, () => resolve());
  });
  return "sent";
}

async function open(port: number): Promise<string> {
  const udp = createSocket({ type: "udp6", ipv6Only: false });
  const heard: Heard[] = [];
  udp.on("message", (message, { address, port: from }) =>
    heard.push({
      text: message.toString(),
      from: { host: plain(address), port: from },
    }),
  );
  udp.bind(port);
  const tcp = createServer((socket) => {
    socket.on("error", () => {});
    const { remoteAddress = "", remotePort = 0 } = socket;
    socket.end(
      JSON.stringify({ host: plain(remoteAddress), port: remotePort }),
    );
  }).listen(port);
  await Promise.all([once(udp, "listening"), once(tcp, "listening")]);
  sockets.set(port, { udp, heard });
  return "open";
}

async function reached(
  { host, port }: End,
  patienceMs: number,
): Promise<End | string> {
  const socket = connect({ host, port });
  try {
    const signal = AbortSignal.timeout(patienceMs);
    const [said] = (await once(socket, "data", { signal })) as [Buffer];
    return JSON.parse(said.toString()) as End;
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    return name === "AbortError" ? "silence" : (code ?? name);
  } finally {
    socket.destroy();
  }
}

/** An IPv4 address, as a socket of both families tells it. */
function plain(address: string): string {
  return address.replace(/^::ffff:/, "");
}
