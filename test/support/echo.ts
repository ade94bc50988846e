/**
 * Two ends of a link that is measured, each in a place of a TestNetwork. `serve`: an echo over UDP, and a TCP sink that says how much it got.
 * Otherwise it measures from its place what it is asked.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";

const PORT = 7;
/** Of one round trip; what is not back by then is lost. */
const PATIENCE_MS = 2_000;

export type EchoRequest =
  | { do: "serve" }
  /** One after another: the round trips in ms. */
  | { do: "roundTrips"; host: string; count: number }
  /** The same over a TCP connection. */
  | { do: "tcpRoundTrips"; host: string; count: number }
  /** All at once: which come back. */
  | { do: "volley"; host: string; count: number }
  /** MB a second over TCP. */
  | { do: "pour"; host: string; megabytes: number };

process.on("disconnect", () => process.exit());
process.on("message", (request: EchoRequest) => {
  void answer(request).then((reply) => process.send?.(reply));
});

async function answer(request: EchoRequest): Promise<number[]> {
  if (request.do === "serve") return await serve();
  const { host } = request;
  if (request.do === "pour") return [await pour(host, request.megabytes)];
  const how = { roundTrips, tcpRoundTrips, volley }[request.do];
  return await how(host, request.count);
}

async function serve(): Promise<number[]> {
  const udp = createSocket("udp4");
  udp.on("message", (message, { port, address }) =>
    udp.send(message, port, address),
  );
  udp.bind(PORT);
  const echo = createServer({ noDelay: true }, (socket) => socket.pipe(socket));
  const sink = createServer({ allowHalfOpen: true }, (socket) => {
    let bytes = 0;
    socket.on("data", (data) => (bytes += data.length));
    socket.on("end", () => socket.end(String(bytes)));
  });
  echo.listen(PORT);
  sink.listen(PORT + 1);
  await Promise.all([udp, echo, sink].map((each) => once(each, "listening")));
  return [];
}

async function roundTrips(host: string, count: number): Promise<number[]> {
  const udp = createSocket("udp4");
  udp.connect(PORT, host);
  await once(udp, "connect");
  const taken: number[] = [];
  for (let i = 0; i < count; i++) {
    const sentMs = performance.now();
    udp.send(Buffer.alloc(64));
    await once(udp, "message", { signal: AbortSignal.timeout(PATIENCE_MS) });
    taken.push(performance.now() - sentMs);
  }
  udp.close();
  return taken;
}

async function tcpRoundTrips(host: string, count: number): Promise<number[]> {
  const socket = connect({ port: PORT, host, noDelay: true });
  await once(socket, "connect");
  const taken: number[] = [];
  for (let i = 0; i < count; i++) {
    const sentMs = performance.now();
    socket.write(Buffer.alloc(64));
    await once(socket, "data", { signal: AbortSignal.timeout(PATIENCE_MS) });
    taken.push(performance.now() - sentMs);
  }
  socket.destroy();
  return taken;
}

async function volley(host: string, count: number): Promise<number[]> {
  const udp = createSocket("udp4");
  udp.connect(PORT, host);
  await once(udp, "connect");
  const back: number[] = [];
  udp.on("message", (message) => back.push(message.readUInt32LE(0)));
  for (let i = 0; i < count; i++) {
    const message = Buffer.alloc(64);
    message.writeUInt32LE(i);
    udp.send(message);
    // A socket's buffer holds some 250, and its process may have to wait for a processor.
    if (i % 25 === 24) await new Promise((resolve) => setTimeout(resolve, 30));
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  udp.close();
  return back;
}

async function pour(host: string, megabytes: number): Promise<number> {
  const socket = connect({ port: PORT + 1, host });
  await once(socket, "connect");
  const startedMs = performance.now();
  const chunk = Buffer.alloc(1e6);
  for (let i = 0; i < megabytes; i++)
    if (!socket.write(chunk)) await once(socket, "drain");
  socket.end();
  const [said] = (await once(socket, "data")) as [Buffer];
  if (Number(said.toString()) !== megabytes * 1e6)
    throw new Error(`${said.toString()} bytes came`);
  return megabytes / ((performance.now() - startedMs) / 1_000);
}
