/** Peers that vanish without a word: separate processes, killed or stopped. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { Lateness } from "../../test/support/lateness.ts";
import type { TransportName } from "./address.ts";
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
