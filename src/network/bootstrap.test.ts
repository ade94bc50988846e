import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { isShoalError } from "../lib/index.ts";
import {
  startHost,
  targetOf,
  TRANSPORTS,
  Watched,
} from "../../test/support/network.ts";
import { Bootstraps, type BootstrapsOptions } from "./bootstrap.ts";
import type { Host } from "./host.ts";

async function keepTo(
  t: TestContext,
  targets: string[],
  options: Partial<BootstrapsOptions> = {},
): Promise<{ host: Host; events: Watched; bootstraps: Bootstraps }> {
  const host = options.host ?? (await startHost(t));
  const events = new Watched();
  const bootstraps = new Bootstraps({
    targets,
    events,
    retryInitialMs: 100,
    retryMaxMs: 500,
    ...options,
    host,
  });
  t.after(() => bootstraps.stop());
  bootstraps.start();
  return { host, events, bootstraps };
}

/** A UDP and TCP port that nobody listens on: it was free a moment ago. */
async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  await new Promise<void>((resolve) => {
    socket.close(() => resolve());
  });
  return port;
}

// Run in parallel: most of them wait for a missing peer.
describe("bootstraps", { concurrency: true }, () => {
  test("several addresses that name one peer are one bootstrap, connected once", async (t) => {
    const rendezvous = await startHost(t);
    const addresses = rendezvous.addresses();
    assert.ok(addresses.length > 1, "QUIC and TCP");
    const connections: string[] = [];
    const { bootstraps } = await keepTo(t, addresses, {
      onConnected: ({ transport }) => void connections.push(transport),
    });
    await bootstraps.firstConnection();
    assert.equal(bootstraps.connected().length, 1);
    assert.deepEqual(connections, ["QUIC"]);
  });

  for (const transport of TRANSPORTS) {
    test(`a bootstrap is connected over ${transport}, reported, and in the routing table`, async (t) => {
      const rendezvous = await startHost(t);
      const [address = ""] = targetOf(rendezvous, transport).addresses;
      const { host, events, bootstraps } = await keepTo(t, [address]);
      const { peer, transport: used } = await bootstraps.firstConnection();
      assert.deepEqual([peer, used], [rendezvous.peerId, transport]);
      const connected = await events.when(
        (e) => e.tag === "CONNECT",
        "the CONNECT event",
      );
      assert.equal(
        connected.message,
        `connected to bootstrap ${peer} over ${transport}`,
      );
      assert.ok(Number(connected.fields.rttMs) > 0);
      assert.equal(connected.fields.address, host.connections()[0]?.address);
      const dht = await events.when((e) => e.tag === "DHT", "the DHT event");
      assert.equal(dht.message, "routing table holds 1 peer");
      assert.equal(host.dhtPeers(), 1);
      assert.equal(
        (await bootstraps.firstConnection()).peer,
        peer,
        "and at once from then on",
      );
    });

    test(`a bootstrap that returns on its port with its key is connected again over ${transport}`, async (t) => {
      const home = await mkdtemp(join(tmpdir(), "shoal-bootstrap-"));
      t.after(() => rm(home, { recursive: true, force: true }));
      const keyPath = join(home, "node.key");
      const first = await startHost(t, { keyPath });
      const addresses = first
        .addresses()
        .map((a) => a.replace(/\/p2p\/.*/, ""));
      const [address = ""] = targetOf(first, transport).addresses;
      const { events, bootstraps } = await keepTo(t, [address]);
      await bootstraps.firstConnection();
      await first.stop();
      const lost = await events.when(
        (e) => /lost the connection/.test(e.message),
        "the loss",
      );
      assert.ok(Number(lost.fields.nextTryMs) <= 100);
      assert.deepEqual(bootstraps.connected(), []);
      await events.when(
        (e) => /cannot reach/.test(e.message),
        "a try while it is away",
      );
      const again = await startHost(t, { keyPath, listen: addresses });
      assert.equal(again.peerId, first.peerId);
      let connected = 0;
      await events.when(
        ({ message }) => message.startsWith("connected") && ++connected === 2,
        "the second connection",
      );
      assert.equal(bootstraps.connected()[0]?.peer, again.peerId);
    });
  }

  test("one of several bootstraps is enough; the others are retried", async (t) => {
    const rendezvous = await startHost(t);
    const dead = `127.0.0.1:${await freePort()}`;
    const [alive = ""] = targetOf(rendezvous, "QUIC").addresses;
    const { events, bootstraps } = await keepTo(t, [dead, alive, alive]);
    assert.equal((await bootstraps.firstConnection()).peer, rendezvous.peerId);
    const failed = await events.when(
      (e) => e.fields.bootstrap === dead,
      "the dead one's event",
    );
    assert.match(
      failed.message,
      /^cannot reach .*TCP .*: connection refused\); next try in \d\.\d s$/,
    );
    assert.equal(failed.level, "warn");
  });

  test("a pinned bootstrap is not replaced by another peer", async (t) => {
    const [rendezvous, other] = [
      await startHost(t),
      await startHost(t, { listen: [] }),
    ];
    const [address = ""] = targetOf(rendezvous, "QUIC").addresses;
    const { host, bootstraps } = await keepTo(t, [
      address.replace(rendezvous.peerId, other.peerId),
    ]);
    await assert.rejects(
      bootstraps.firstConnection({ timeoutMs: 1_500 }),
      (error) =>
        isShoalError(error, "BOOTSTRAP_UNREACHABLE") &&
        /another peer answers there/.test(error.message),
    );
    assert.deepEqual(host.connections(), []);
  });

  test("bootstraps that do not answer are named in one line, each with its error", async (t) => {
    const ports = [await freePort(), await freePort()];
    const targets = ports.map((port) => `127.0.0.1:${port}`);
    const unknown = "no-such-host.invalid";
    const { events, bootstraps } = await keepTo(t, [...targets, unknown]);
    for (const target of [...targets, unknown]) {
      await events.when(
        (e) => e.fields.bootstrap === target,
        `${target} to fail`,
      );
    }
    await assert.rejects(
      bootstraps.firstConnection({ timeoutMs: 10 }),
      (error) => {
        assert.ok(isShoalError(error, "BOOTSTRAP_UNREACHABLE"));
        assert.match(error.message, /^no bootstrap answered within 0.01 s/);
        assert.doesNotMatch(error.message, /\n/);
        for (const target of targets) {
          const said = `${target}: cannot reach .*connection refused`;
          assert.match(error.message, new RegExp(said));
        }
        assert.match(
          error.message,
          /no-such-host\.invalid: cannot reach .*name/,
        );
        return true;
      },
    );
  });

  test("waiting for a bootstrap ends with its signal, and with the stop", async (t) => {
    const { bootstraps } = await keepTo(t, [`127.0.0.1:${await freePort()}`]);
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(bootstraps.firstConnection({ signal }), (error) =>
      isShoalError(error, "ABORTED"),
    );
    const waiting = bootstraps.firstConnection();
    waiting.catch(() => {});
    await bootstraps.stop();
    await assert.rejects(waiting, (error) => isShoalError(error, "ABORTED"));
  });

  test("a node that is its own bootstrap reports it and ignores it", async (t) => {
    const host = await startHost(t);
    const [address = ""] = targetOf(host, "QUIC").addresses;
    const { events, bootstraps } = await keepTo(
      t,
      [address.replace(/\/p2p\/.*/, ""), address],
      { host },
    );
    for (const target of [address, address.replace(/\/p2p\/.*/, "")]) {
      const told = await events.when(
        (e) => e.fields.bootstrap === target,
        "the event",
      );
      assert.match(told.message, /is this node itself$/);
    }
    await bootstraps.stop();
  });

  test("an invalid address is refused before anything is dialled", async (t) => {
    const host = await startHost(t, { listen: [] });
    assert.throws(
      () =>
        new Bootstraps({
          host,
          targets: ["example.org:http"],
          events: new Watched(),
        }),
      (error) => isShoalError(error, "ADDRESS_INVALID"),
    );
  });
});
