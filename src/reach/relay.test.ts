/** Real hosts on loopback; two of them meet only through the third. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import {
  closeOf,
  makeHost,
  startHost,
  within,
} from "../../test/support/network.ts";
import { Events, isShoalError, ShoalError, steadyClock } from "../lib/index.ts";
import { Commands, type FrameStream, type Host } from "../network/index.ts";
import { RELAY_LIMITS, RelayLimits } from "./relay-limits.ts";
import { RELAY, serveRelay } from "./relay-service.ts";

const ECHO = "/test/echo/1.0.0";
const FRAME = { maxFrameBytes: 1 << 20 };
const MiB = 1 << 20;

interface Scene {
  relay: Host;
  limits: RelayLimits;
  /** All that are not in it are strangers. */
  cluster: Set<string>;
  /** A host with a place at the relay, which echoes. */
  reached: () => Promise<Host>;
  /** A host that is connected with the relay. */
  other: () => Promise<Host>;
}

async function scene(t: TestContext, bytesPerSecond?: number): Promise<Scene> {
  const events = new Events();
  const limits = new RelayLimits({
    clock: steadyClock,
    events,
    bytesPerSecond,
  });
  const cluster = new Set<string>();
  limits.clustersOf = (peer) => (cluster.has(peer) ? ["c"] : []);
  const relay = await makeHost(t, { relay: limits });
  serveRelay({ host: relay, commands: new Commands(relay), limits });
  await relay.start();
  const other = async (): Promise<Host> => {
    const host = await makeHost(t);
    host.handleStreams(
      ECHO,
      (stream) =>
        stream.onFrame((frame) => stream.send(Uint8Array.from(frame))),
      FRAME,
    );
    await host.start();
    await host.connect({ peerId: relay.peerId, addresses: relay.addresses() });
    cluster.add(host.peerId);
    return host;
  };
  const reached = async (): Promise<Host> => {
    const host = await other();
    await host.relayThrough(relay.peerId);
    return host;
  };
  return { relay, limits, cluster, reached, other };
}

/** Where it is reached through others, and no address of its own. */
function relayed(host: Host): { peerId: string; addresses: string[] } {
  const addresses = host.addresses().filter((a) => a.includes("p2p-circuit"));
  assert.equal(addresses.length, host.relays().length);
  return { peerId: host.peerId, addresses };
}

/** Sends frames and takes their echoes, one after the other, until so many bytes are back. */
async function roundTrips(
  stream: FrameStream,
  bytes: number,
  times: number,
): Promise<number[]> {
  let back = Promise.withResolvers<void>();
  stream.onFrame((frame) => {
    assert.equal(frame.byteLength, bytes);
    back.resolve();
  });
  stream.onClose((error) => back.reject(error ?? new Error("it ended")));
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    back = Promise.withResolvers();
    const sentMs = performance.now();
    await stream.send(new Uint8Array(bytes).fill(i));
    await within(back.promise, "an echo");
    taken.push(performance.now() - sentMs);
  }
  return taken;
}

const SINK = "/test/sink/1.0.0";

/** Sends as much as it can, until the stream ends. */
async function pour(stream: FrameStream): Promise<void> {
  try {
    for (;;) await stream.send(new Uint8Array(256 * 1024));
  } catch {
    // it ended
  }
}

describe("a relay", () => {
  test("connects members that know no address of each other, for as much as they send", async (t) => {
    const { relay, limits, reached, other } = await scene(t);
    const [a, b] = [await reached(), await other()];
    assert.deepEqual(a.relays(), [relay.peerId]);
    const stream = await b.openStream(relayed(a), ECHO, FRAME);
    assert.equal(stream.transport, "relayed");
    await roundTrips(stream, MiB, 8);
    assert.ok(limits.use.bytes > 16 * MiB);
    assert.equal(limits.use.connections, 1);
    const connection = b.connections().find(({ peer }) => peer === a.peerId);
    assert.equal(connection?.transport, "relayed");
    await a.disconnect(b.peerId);
    await within(closeOf(stream), "the end of the stream");
    while (limits.use.connections > 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
  });

  test("is used only where no direct address answers", async (t) => {
    const { reached, other } = await scene(t);
    const [a, b] = [await reached(), await other()];
    const { transport } = await b.connect({
      peerId: a.peerId,
      addresses: a.addresses(),
    });
    assert.equal(transport, "QUIC");
  });

  test("cuts strangers off after 128 KiB, and a stream of theirs says that it ended", async (t) => {
    const { cluster, reached, other } = await scene(t);
    const [a, b] = [await reached(), await other()];
    cluster.clear();
    const stream = await b.openStream(relayed(a), ECHO, FRAME);
    await assert.rejects(
      roundTrips(stream, 16_384, RELAY_LIMITS.strangersBytes / 16_384),
    );
  });

  test("refuses with the limit's name: a question says it, and a dial that it was the relay's", async (t) => {
    const { relay, limits, cluster, reached, other } = await scene(t);
    const [a, b] = [await reached(), await other()];
    cluster.clear();
    while (limits.use.places < RELAY_LIMITS.placesOfStrangers)
      limits.reserve(`stranger ${limits.use.places}`);
    await assert.rejects(
      new Commands(b).call(relay.peerId, RELAY.name, {}, RELAY.result),
      (error) =>
        isShoalError(error, "RELAY_LIMIT") &&
        error.details.limit ===
          "64 places of peers in no cluster of this relay",
    );
    await assert.rejects(b.relayThrough(relay.peerId), (error) =>
      isShoalError(error, "RELAY_LIMIT"),
    );
    for (let i = 0; i < RELAY_LIMITS.connectionsOfStrangers; i++)
      limits.connect(`one ${i}`, `other ${i}`, () => {});
    await assert.rejects(b.connect(relayed(a)), /a limit of this relay/);
  });

  test("a host that relays nothing is told apart", async (t) => {
    const [a, b] = [await startHost(t), await startHost(t)];
    await a.connect({ peerId: b.peerId, addresses: b.addresses() });
    await assert.rejects(a.relayThrough(b.peerId), (error) =>
      isShoalError(error, "PROTOCOL_UNSUPPORTED"),
    );
    assert.deepEqual(a.relays(), []);
  });

  test("a place ends with the connection, and others hear of it; the next one is as good", async (t) => {
    const { relay, reached, other } = await scene(t);
    const [a, b] = [await reached(), await other()];
    const changed = Promise.withResolvers<void>();
    a.onAddresses(changed.resolve);
    const { peerId, addresses } = relayed(a);
    await a.disconnect(relay.peerId);
    await within(changed.promise, "the addresses to change");
    assert.deepEqual(relayed(a).addresses, []);
    await assert.rejects(
      b.connect({ peerId, addresses }),
      /it is not connected with this relay/,
    );
    await a.connect({ peerId: relay.peerId, addresses: relay.addresses() });
    await a.relayThrough(relay.peerId);
    await b.connect(relayed(a));
  });

  test("one that sends all it can fills no memory, and delays nobody else", async (t) => {
    const { limits, reached, other } = await scene(t, 4 * MiB);
    const [a, b, c, d] = [
      await reached(),
      await other(),
      await other(),
      await reached(),
    ];
    a.handleStreams(SINK, (stream) => stream.onFrame(() => {}), FRAME);
    const flood = await b.openStream(relayed(a), SINK, FRAME);
    const tokens = await c.openStream(relayed(d), ECHO, FRAME);
    const flooding = pour(flood);
    while (limits.use.bytes < 4 * MiB)
      await new Promise((resolve) => setTimeout(resolve, 20));
    const before = process.memoryUsage().arrayBuffers;
    const times = await roundTrips(tokens, 4_096, 200);
    const grown = process.memoryUsage().arrayBuffers - before;
    flood.abort(new ShoalError("ABORTED", "enough"));
    await flooding;
    const median = times.toSorted((x, y) => x - y)[100]!;
    t.diagnostic(
      `${median.toFixed(1)} ms a round trip, ${(grown / MiB).toFixed(0)} MiB more`,
    );
    // At 4 MiB/s the flood alone would make it wait for seconds.
    assert.ok(median < 250, `${median} ms`);
    assert.ok(grown < 96 * MiB, `${grown}`);
  });
});
