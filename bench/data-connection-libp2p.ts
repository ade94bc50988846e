/** One end of bench/data-connection.ts over a libp2p stream, QUIC or TCP: what carries the frames where no data connection can. */
import { createHost, type PeerTarget } from "../src/network/index.ts";
import type { Hop } from "./data-connection-side.ts";

const PROTOCOL = "/shoal/bench-hop/1";
const WARM_UP = 40;

function work(hop: Hop): void {
  const end = performance.now() + hop.workUs / 1e3;
  while (performance.now() < end);
}

async function answer(hop: Hop, listen: string): Promise<void> {
  const host = await createHost({ listen: [listen] });
  const reply = new Uint8Array(hop.bytes);
  host.handleStreams(
    PROTOCOL,
    (stream) => {
      stream.onFrame(async () => {
        work(hop);
        await stream.send(reply);
      });
    },
    { maxFrameBytes: hop.bytes },
  );
  await host.start();
  process.send?.({ peerId: host.peerId, addresses: host.addresses() });
  process.on("message", () => {
    void host.stop().then(() => process.disconnect());
  });
}

async function ask(hop: Hop, target: PeerTarget): Promise<void> {
  const host = await createHost({ listen: [] });
  await host.start();
  const stream = await host.openStream(target, PROTOCOL, {
    maxFrameBytes: hop.bytes,
  });
  let arrived: (() => void) | undefined;
  stream.onFrame(() => arrived?.());
  const body = new Uint8Array(hop.bytes);
  const hops: number[] = [];
  for (let i = -WARM_UP; i < hop.rounds; i++) {
    work(hop);
    const { promise, resolve } = Promise.withResolvers<void>();
    arrived = resolve;
    const start = performance.now();
    void stream.send(body);
    await promise;
    const tookUs = (performance.now() - start) * 1e3;
    if (i >= 0) hops.push((tookUs - hop.workUs) / 2);
  }
  hops.sort((a, b) => a - b);
  process.send?.({
    hop: hops[hops.length >> 1],
    hopP10: hops[Math.floor(hops.length / 10)],
    hopP95: hops[Math.floor(hops.length * 0.95)],
    hopMean: hops.reduce((sum, each) => sum + each, 0) / hops.length,
  });
  await stream.close();
  await host.stop();
  process.disconnect();
}

const [role, text = "{}", detail = ""] = process.argv.slice(2);
const hop = JSON.parse(text) as Hop;
if (role === "answer") await answer(hop, detail);
if (role === "ask") await ask(hop, JSON.parse(detail) as PeerTarget);
