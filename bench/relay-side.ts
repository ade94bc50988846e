/** One of the three processes of bench/relay.ts. */
import { Events, steadyClock } from "../src/lib/index.ts";
import {
  createHost,
  type FrameStream,
  transportOf,
} from "../src/network/index.ts";
import { RelayLimits } from "../src/reach/index.ts";

export interface Where {
  peerId: string;
  addresses: string[];
}

export type Task =
  | { role: "relay" }
  | { role: "reached"; relay: Where }
  | {
      role: "measures";
      relay: Where;
      target: Where;
      bytes: number;
      rounds: number;
      megabytes: number;
    };

export interface Measured {
  transport: string;
  roundTripsMs: number[];
  megabytesPerSecond: number;
}

const ECHO = "/bench/echo/1.0.0";
const SINK = "/bench/sink/1.0.0";
const FRAME = { maxFrameBytes: 1 << 20 };
const CHUNK = 250_000;

process.on("disconnect", () => process.exit());
process.on("message", (task: Task & { listen: string[] }) => {
  void run(task).then((said) => process.send?.(said));
});

async function run(
  task: Task & { listen: string[] },
): Promise<Where | Measured> {
  const limits = new RelayLimits({
    clock: steadyClock,
    events: new Events(),
    bytesPerSecond: 1e12, // what it can, not what it may
  });
  limits.clustersOf = () => ["bench"];
  const host = await createHost({
    listen: task.listen,
    ...(task.role === "relay" && { relay: limits }),
  });
  host.handleStreams(
    ECHO,
    (stream) => stream.onFrame((frame) => stream.send(Uint8Array.from(frame))),
    FRAME,
  );
  host.handleStreams(SINK, (stream) => void sink(stream), FRAME);
  await host.start();
  if (task.role !== "relay") await host.connect(task.relay);
  if (task.role === "reached") await host.relayThrough(task.relay.peerId);
  if (task.role !== "measures")
    return { peerId: host.peerId, addresses: host.addresses() };
  const echo = await host.openStream(task.target, ECHO, FRAME);
  const roundTripsMs = await roundTrips(echo, task.bytes, task.rounds);
  const poured = await host.openStream(task.target, SINK, FRAME);
  const megabytesPerSecond = await pour(poured, task.megabytes);
  const connection = host
    .connections()
    .find(({ peer }) => peer === task.target.peerId);
  const transport = transportOf(connection?.address ?? "");
  await host.stop();
  return { transport, roundTripsMs, megabytesPerSecond };
}

/** Says after each frame how much has come in all. */
async function sink(stream: FrameStream): Promise<void> {
  let bytes = 0;
  stream.onFrame((frame) => {
    bytes += frame.byteLength;
    const said = Buffer.alloc(8);
    said.writeDoubleLE(bytes);
    return stream.send(said);
  });
}

async function roundTrips(
  stream: FrameStream,
  bytes: number,
  rounds: number,
): Promise<number[]> {
  let back = Promise.withResolvers<void>();
  stream.onFrame(() => back.resolve());
  stream.onClose((error) => back.reject(error ?? new Error("it ended")));
  const taken: number[] = [];
  for (let i = 0; i < rounds; i++) {
    back = Promise.withResolvers();
    const sentMs = performance.now();
    await stream.send(new Uint8Array(bytes));
    await back.promise;
    taken.push(performance.now() - sentMs);
  }
  return taken.slice(rounds / 10); // the first ones warm up
}

async function pour(stream: FrameStream, megabytes: number): Promise<number> {
  const all = megabytes * 1e6;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  stream.onFrame((frame) => {
    if (Buffer.from(frame).readDoubleLE() >= all) resolve();
  });
  stream.onClose((error) => reject(error ?? new Error("it ended")));
  const startedMs = performance.now();
  for (let sent = 0; sent < all; sent += CHUNK)
    await stream.send(new Uint8Array(CHUNK));
  await promise;
  return (megabytes * 1_000) / (performance.now() - startedMs);
}
