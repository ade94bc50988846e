import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { Lateness } from "../../test/support/lateness.ts";
import { prometheusMetrics } from "@libp2p/prometheus-metrics";
import { Registry } from "prom-client";
import { isShoalError } from "../lib/index.ts";
import {
  makeHost,
  startHost,
  targetOf,
  TRANSPORTS,
  Watched,
  within,
} from "../../test/support/network.ts";
import { parseTarget } from "./address.ts";
import type { PeerChange } from "./connections.ts";
import { createHost } from "./create-host.ts";

/** A UDP port that takes datagrams and never answers. */
async function blackHole(t: TestContext): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  t.after(() => socket.close());
  await once(socket, "listening");
  return socket.address().port;
}

// Run in parallel: most of them wait for a missing peer.
describe("a host", { concurrency: true }, () => {
  test("QUIC is preferred if both answer", async (t) => {
    const [a, b] = [await startHost(t), await startHost(t)];
    const { transport, address, direction } = await b.connect({
      peerId: a.peerId,
      addresses: a.addresses().toReversed(),
    });
    assert.equal(transport, "QUIC");
    assert.match(
      address,
      new RegExp(`^/ip4/127.0.0.1/udp/\\d+/quic-v1/p2p/${a.peerId}$`),
    );
    assert.equal(direction, "outbound");
  });

  test("TCP connects within seconds if UDP is dropped", async (t) => {
    const [a, b] = [await startHost(t), await startHost(t)];
    const silent = `/ip4/127.0.0.1/udp/${await blackHole(t)}/quic-v1`;
    using lateness = new Lateness();
    const startedAtMs = performance.now();
    const { transport } = await b.connect({
      peerId: a.peerId,
      addresses: [silent, ...targetOf(a, "TCP").addresses],
    });
    assert.equal(transport, "TCP");
    assert.ok(performance.now() - startedAtMs - lateness.ms < 5_000);
  });

  for (const transport of TRANSPORTS) {
    test(`another peer at the address is refused over ${transport}`, async (t) => {
      const [a, b, other] = [
        await startHost(t),
        await startHost(t),
        await startHost(t, { listen: [] }),
      ];
      const changes: PeerChange[] = [];
      b.onPeer((change) => changes.push(change));
      const addresses = targetOf(a, transport).addresses.map((x) =>
        x.replace(a.peerId, other.peerId),
      );
      await assert.rejects(
        b.connect({ peerId: other.peerId, addresses }),
        (error) =>
          isShoalError(error, "DIAL_FAILED") &&
          /another peer answers there/.test(error.message),
      );
      assert.deepEqual(b.connections(), []);
      assert.deepEqual(changes, []);
    });

    test(`a host name is resolved for ${transport}`, async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      const addresses = targetOf(a, transport).addresses.map((x) =>
        x.replace("/ip4/127.0.0.1/", "/dns4/localhost/"),
      );
      const { peer, transport: used } = await b.connect({
        peerId: a.peerId,
        addresses,
      });
      assert.deepEqual([peer, used], [a.peerId, transport]);
    });

    test(`an open connection is reused over ${transport}, with and without a known id`, async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      const pinned = targetOf(a, transport);
      const unpinned = {
        addresses: pinned.addresses.map((x) => x.replace(/\/p2p\/.*/, "")),
      };
      await Promise.all([b.connect(unpinned), b.connect(unpinned)]);
      await b.connect(pinned);
      await b.connect(unpinned);
      await b.connect(a.peerId);
      assert.equal(b.connections().length, 1);
    });

    test(`both sides hear of a peer that comes and goes over ${transport}`, async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      const heard = (
        host: typeof a,
        type: PeerChange["type"],
      ): Promise<PeerChange> =>
        new Promise((resolve) => {
          host.onPeer((change) => {
            if (change.type === type) resolve(change);
          });
        });
      const came = Promise.all([heard(a, "connected"), heard(b, "connected")]);
      const gone = Promise.all([
        heard(a, "disconnected"),
        heard(b, "disconnected"),
      ]);
      await b.connect(targetOf(a, transport));
      const [atA, atB] = await within(came, "both to hear of the connection");
      assert.deepEqual(
        [atA.peer, atA.connection.direction, atB.peer],
        [b.peerId, "inbound", a.peerId],
      );
      assert.ok((await b.ping(a.peerId)) > 0);
      assert.ok((b.connections()[0]?.rttMs ?? 0) > 0);
      await b.disconnect(a.peerId);
      await within(gone, "both to hear of its end");
      assert.deepEqual([a.connections(), b.connections()], [[], []]);
    });
  }

  test("a failed dial reports each address's error", async (t) => {
    const b = await startHost(t, { listen: [] });
    const closed = createServer().listen(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const target = parseTarget(`127.0.0.1:${port}`);
    await assert.rejects(b.connect(target), (error) => {
      assert.ok(isShoalError(error, "DIAL_FAILED"));
      assert.match(
        error.message,
        new RegExp(
          `^cannot reach .* \\(QUIC 127.0.0.1:${port}: .*; TCP 127.0.0.1:${port}: connection refused\\)$`,
        ),
      );
      return true;
    });
    await assert.rejects(b.connect({ addresses: [] }), (error) =>
      isShoalError(error, "DIAL_FAILED"),
    );
  });

  test("one impatient caller does not end a shared dial", async (t) => {
    const [a, b] = [await startHost(t), await startHost(t)];
    const target = {
      peerId: a.peerId,
      addresses: [
        `/ip4/127.0.0.1/udp/${await blackHole(t)}/quic-v1`,
        ...targetOf(a, "TCP").addresses,
      ],
    };
    const impatient = b.connect(target, { timeoutMs: 50 });
    const patient = b.connect(target);
    await assert.rejects(impatient, (error) =>
      isShoalError(error, "DIAL_FAILED"),
    );
    assert.equal((await patient).peer, a.peerId);
  });

  test("a node recognizes itself", async (t) => {
    const a = await startHost(t);
    const unpinned = {
      addresses: a.addresses().map((x) => x.replace(/\/p2p\/.*/, "")),
    };
    for (const target of [a.peerId, unpinned]) {
      await assert.rejects(
        a.connect(target),
        (error) =>
          isShoalError(error, "DIAL_FAILED") && error.details.self === true,
      );
    }
  });

  for (const transport of TRANSPORTS) {
    test(`a ${transport} port in use is named`, async (t) => {
      const a = await startHost(t);
      const [taken = ""] = targetOf(a, transport).addresses;
      const host = await makeHost(t, {
        listen: [taken.replace(/\/p2p\/.*/, "")],
      });
      const port = Number(taken.split("/")[4]);
      await assert.rejects(host.start(), (error) => {
        assert.ok(isShoalError(error, "PORT_IN_USE"));
        assert.equal(error.details.port, port);
        assert.match(
          error.message,
          /^(UDP|TCP) port \d+ of 127\.0\.0\.1 is in use$/,
        );
        return true;
      });
    });
  }

  test("libp2p reports its own numbers to the given metrics", async (t) => {
    const registry = new Registry();
    const a = await startHost(t, {
      metrics: prometheusMetrics({ registry, collectDefaultMetrics: false }),
    });
    const b = await startHost(t);
    await b.connect(targetOf(a, "TCP"));
    const text = await registry.metrics();
    assert.match(text, /libp2p_kad_dht_routing_table_size/);
    assert.match(text, /libp2p_connection_manager_connections\{[^}]*\} 1/);
  });

  test("the events name the request and its outcome", async (t) => {
    const events = new Watched();
    const listen = ["/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0"];
    const host = await startHost(t, { events, listen });
    const [transport, listening] = events.seen;
    assert.deepEqual(
      [transport?.tag, transport?.message],
      ["TRANSPORT", "QUIC and TCP"],
    );
    assert.deepEqual(
      [listening?.tag, listening?.fields.asked],
      ["LISTEN", listen],
    );
    assert.deepEqual(listening?.fields.real, host.addresses());
    const own = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .map((i) => i.address);
    for (const address of host.addresses()) {
      assert.ok(
        own.includes(address.split("/")[2] ?? ""),
        `${address} is one of this machine's`,
      );
      assert.doesNotMatch(address, /\/0\.0\.0\.0\/|\/(tcp|udp)\/0\//);
    }
  });

  test("without QUIC a node uses TCP and reports it", async (t) => {
    const events = new Watched();
    const [a, b] = [
      await startHost(t),
      await startHost(t, { quic: false, events }),
    ];
    assert.equal(events.seen[0]?.level, "warn");
    assert.match(events.seen[0]?.message ?? "", /^TCP only/);
    assert.equal(
      (await b.connect({ peerId: a.peerId, addresses: a.addresses() }))
        .transport,
      "TCP",
    );
  });

  test("a node with a database finds a peer again by its id only", async (t) => {
    const home = await mkdtemp(join(tmpdir(), "shoal-host-"));
    t.after(() => rm(home, { recursive: true, force: true }));
    const options = {
      listen: [],
      keyPath: join(home, "node.key"),
      datastorePath: join(home, "peers"),
    };
    const a = await startHost(t);
    const before = await startHost(t, options);
    await before.connect(targetOf(a, "TCP"));
    await assert.rejects(startHost(t, options), (error) =>
      isShoalError(error, "HOME_IN_USE"),
    );
    await before.stop();
    const after = await startHost(t, options);
    assert.equal(after.peerId, before.peerId);
    assert.equal((await after.connect(a.peerId)).peer, a.peerId);
  });

  test("start and stop may be called twice, and stop closes what is open", async (t) => {
    const [a, b] = [await startHost(t), await startHost(t)];
    await a.start();
    await b.connect(targetOf(a, "QUIC"));
    await Promise.all([b.stop(), b.stop()]);
    await b.stop();
    await assert.rejects(b.connect(targetOf(a, "TCP")), (error) =>
      isShoalError(error, "DIAL_FAILED"),
    );
    await using never = await createHost();
    await assert.rejects(never.connect(targetOf(a, "TCP")), (error) =>
      isShoalError(error, "DIAL_FAILED"),
    );
  });
});
