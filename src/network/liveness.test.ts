/** Peers that vanish without a word: separate processes, killed or stopped. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { Lateness } from "../../test/support/lateness.ts";
import { until } from "../../test/support/until.ts";
import { freePort, relayUdp } from "../../test/support/wires.ts";
import { sleep } from "../lib/index.ts";
import type { TransportName } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";
import type { Host } from "./host.ts";
import {
  closeOf,
  spawnPeer,
  startHost,
  targetOf,
  TRANSPORTS,
  within,
  type PeerProcess,
} from "../../test/support/network.ts";

/** Killed: the system closes TCP at once, QUIC's idle timeout is 2.75 s. Stopped: QUIC 2.75 to 3.75 s, TCP's heartbeat 6.5 to 8.5 s. */
const NOTICED_WITHIN_MS = 10_000;

/** An echo over a stream, then the end of the stream and the connection. */
async function watch(
  t: TestContext,
  peer: PeerProcess,
  transport: TransportName,
): Promise<{ missed: () => Promise<void> }> {
  const host = await startHost(t);
  const stream = await host.openStream(
    targetOf(peer, transport),
    "/test/echo/1",
    { maxFrameBytes: 100 },
  );
  const echoed = new Promise((resolve) => {
    stream.onFrame(resolve);
  });
  void stream.send(Uint8Array.of(1));
  await within(echoed, "the echo");
  const closed = closeOf(stream);
  const gone = new Promise<void>((resolve) => {
    host.onPeer(({ type }) => {
      if (type === "disconnected") resolve();
    });
  });
  return {
    missed: async () => {
      using lateness = new Lateness();
      const startedMs = performance.now();
      await within(gone, `${transport}: the loss`);
      const tookMs = performance.now() - startedMs - lateness.ms;
      assert.ok(tookMs < NOTICED_WITHIN_MS, `${transport}: ${tookMs} ms`);
      assert.ok((await closed) instanceof Error, "an error, not an end");
      assert.deepEqual(host.connections(), []);
    },
  };
}

describe("a peer is missed", { concurrency: true }, () => {
  for (const [signal, what] of [
    ["SIGKILL", "killed"],
    ["SIGSTOP", "stopped"],
  ] as const) {
    test(`over QUIC and TCP when its process is ${what}`, async (t) => {
      const peer = await spawnPeer(t);
      const watched = await Promise.all(
        TRANSPORTS.map((transport) => watch(t, peer, transport)),
      );
      peer.process.kill(signal);
      await Promise.all(watched.map(({ missed }) => missed()));
    });
  }
});

// Runs alone, because it blocks the event loop.
test("a peer is not lost when this process itself stalled", async (t) => {
  const peer = await spawnPeer(t);
  const host = await startHost(t, {
    heartbeat: { intervalMs: 200, silenceMs: 1_000 },
  });
  const before = await host.connect(targetOf(peer, "TCP"));
  await host.ping(peer.peerId);
  let lost = false;
  host.onPeer(({ type }) => {
    lost ||= type === "disconnected";
  });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
  await host.ping(peer.peerId);
  assert.equal(lost, false);
  assert.equal(host.connections()[0]?.sinceMs, before.sinceMs);
});

/** Another connection besides the open one: an address without an id is dialled anew. */
async function connectBesides(host: Host, address: string): Promise<void> {
  await host.connect({ addresses: [address.replace(/\/p2p\/.*/, "")] });
}

function transportsOf(host: Host): string {
  return host
    .connections()
    .map(({ transport }) => transport)
    .sort()
    .join();
}

test("one of two connections to a peer is silent: the other is used within a second or two, and the silent one ends", async (t) => {
  const peer = await spawnPeer(t);
  const host = await startHost(t);
  const [quic = ""] = targetOf(peer, "QUIC").addresses;
  const port = await freePort();
  const relay = await relayUdp(t, port, Number(quic.split("/")[4]));
  await host.connect(targetOf(peer, "TCP"));
  await connectBesides(host, `/ip4/127.0.0.1/udp/${port}/quic-v1`);
  assert.equal(transportsOf(host), "QUIC,TCP");
  const usual = await host.openStream(peer.peerId, "/test/echo/1", {
    maxFrameBytes: 100,
  });
  assert.equal(usual.transport, "QUIC");
  using lateness = new Lateness();
  const startedMs = performance.now();
  const sinceMs = (): number => performance.now() - startedMs - lateness.ms;
  // What is sent arrives; nothing comes back.
  relay.dropReplies();
  const ended = closeOf(usual).then(sinceMs);
  const avoided = Promise.withResolvers<number>();
  const trying = setInterval(() => {
    host.openStream(peer.peerId, "/test/echo/1", { maxFrameBytes: 100 }).then(
      ({ transport }) => {
        if (transport === "TCP") avoided.resolve(sinceMs());
      },
      () => {}, // on the silent one
    );
  }, 50);
  t.after(() => clearInterval(trying));
  const avoidedMs = await within(avoided.promise, "a stream over the other");
  const endedMs = await within(ended, "the end of the silent one");
  t.diagnostic(`avoided after ${avoidedMs} ms, ended after ${endedMs} ms`);
  assert.ok(endedMs < NOTICED_WITHIN_MS, `${endedMs} ms`);
  await until("it to be gone", () => transportsOf(host) === "TCP");
  if (lateness.ms < 1_000) assert.ok(avoidedMs < endedMs);
});

// Runs alone, because it blocks the event loop.
test("neither of two connections is lost when this process stalled, and the peer does not take one for dead", async (t) => {
  const peer = await spawnPeer(t);
  const host = await startHost(t);
  await host.connect(targetOf(peer, "TCP"));
  await connectBesides(host, targetOf(peer, "QUIC").addresses[0]!);
  await host.ping(peer.peerId);
  const lost = new Promise((resolve) => {
    host.onPeer(resolve);
  });
  const before = host.connections().map(({ id }) => id);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5_000);
  // As long as a silent one would have, on either side.
  const calm = sleep(2 * DEFAULTS.silenceBesideMs);
  assert.equal(await Promise.race([lost, calm]), undefined);
  assert.deepEqual(
    host.connections().map(({ id }) => id),
    before,
  );
});
