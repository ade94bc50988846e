import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { identify } from "@libp2p/identify";
import type { PeerId } from "@libp2p/interface";
import {
  kadDHT,
  MessageType,
  passthroughMapper,
  Record as KadRecord,
} from "@libp2p/kad-dht";
import { noise } from "@libp2p/noise";
import { peerIdFromString } from "@libp2p/peer-id";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { CID } from "multiformats/cid";
import * as raw from "multiformats/codecs/raw";
import { identity } from "multiformats/hashes/identity";
import { startHost } from "../../../test/support/network.ts";
import { probeKey, probeRecord } from "./probe.ts";
import { ask, type Asked, type Kad } from "./wire.ts";
import type { Host, HostOptions } from "../host.ts";
import type { RecordKind } from "./records.ts";
import { cidOf } from "./at-peer.ts";

/** "<number> <owner> <text>" under /note/<anything>. */
const NOTE: RecordKind = {
  prefix: "note",
  maxBytes: 64,
  lifetimeMs: 3_600_000,
  async validate(_key, value) {
    await Promise.resolve();
    if (!/^\d+ \w+ /.test(Buffer.from(value).toString()))
      throw new Error("no number and owner");
  },
  seq: (value) => Number(Buffer.from(value).toString().split(" ")[0]),
  owner: (value) => Buffer.from(value).toString().split(" ")[1] ?? "",
};

interface Stranger {
  kad: Kad;
  id: PeerId;
  sign: (data: Uint8Array) => Promise<Uint8Array>;
  /** Sends any PUT_VALUE to `host` and returns its answer. */
  put(
    host: Host,
    key: string | Uint8Array,
    value: string | Uint8Array,
    recordKey?: string,
  ): Promise<string>;
  get(host: Host, key: string): Promise<string | undefined>;
  provide(
    host: Host,
    key: Uint8Array,
    who?: PeerId,
    addresses?: number,
  ): Promise<Asked>;
  providers(host: Host, key: Uint8Array): Promise<string[]>;
}

/** A libp2p node with the stock DHT and none of our rules. */
async function stranger(
  t: Pick<TestContext, "after">,
  host: Host,
): Promise<Stranger> {
  const privateKey = await generateKeyPair("Ed25519");
  const node = await createLibp2p({
    privateKey,
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: {
      identify: identify({ protocolPrefix: "shoal" }),
      ping: ping({ protocolPrefix: "shoal" }),
      dht: kadDHT({
        protocol: "/shoal/kad/1.0.0",
        clientMode: true,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
      }),
    },
  });
  t.after(() => node.stop());
  const address = host.addresses().find((a) => a.includes("/tcp/")) ?? "";
  await node.dial(multiaddr(address));
  const kad = node.services.dht as unknown as Kad;
  const at = peerIdFromString(host.peerId);
  const signal = AbortSignal.timeout(30_000);
  const bytes = (x: string | Uint8Array): Uint8Array =>
    typeof x === "string" ? Buffer.from(x) : x;
  return {
    kad,
    id: node.peerId,
    sign: async (data) => await privateKey.sign(data),
    async put(_host, key, value, recordKey) {
      const record = new KadRecord(
        bytes(recordKey ?? key),
        bytes(value),
        new Date(),
      ).serialize();
      const type = MessageType.PUT_VALUE;
      const asked = await ask(
        kad,
        at,
        { type, key: bytes(key), record },
        signal,
      );
      return "failed" in asked ? asked.failed.said : "kept";
    },
    async get(_host, key) {
      const type = MessageType.GET_VALUE;
      const asked = await ask(kad, at, { type, key: bytes(key) }, signal);
      assert.ok("reply" in asked, JSON.stringify(asked));
      const { record } = asked.reply;
      return record && Buffer.from(record).toString();
    },
    async provide(_host, key, who = node.peerId, addresses = 1) {
      const provider = {
        id: who.toMultihash().bytes,
        multiaddrs: Array.from(
          { length: addresses },
          (_, i) =>
            multiaddr(`/ip4/10.0.${i >> 8}.${i & 255}/tcp/${1 + (i % 60_000)}`)
              .bytes,
        ),
      };
      const type = MessageType.ADD_PROVIDER;
      const message = { type, key, providers: [provider] };
      return await ask(kad, at, message, signal, "message");
    },
    async providers(_host, key) {
      const type = MessageType.GET_PROVIDERS;
      // ADD_PROVIDER has no answer: an earlier message on another stream may still be in flight.
      for (const waitMs of [0, 50, 200, 500]) {
        await new Promise((resolve) => setTimeout(resolve, waitMs));
        const asked = await ask(kad, at, { type, key }, signal);
        if ("failed" in asked) continue;
        const ids = asked.reply.providers.map(({ id }) => id.toString());
        if (ids.length > 0) return ids;
      }
      return [];
    },
  };
}

async function server(
  t: Pick<TestContext, "after">,
  options: HostOptions = {},
): Promise<Host> {
  return await startHost(t, { recordKinds: [NOTE], ...options });
}

describe("a stranger with a stock DHT", { concurrency: 4 }, () => {
  test("is refused for records of no kind, too large or invalid, and nothing is kept", async (t) => {
    const host = await server(t);
    const client = await stranger(t, host);
    assert.equal(await client.put(host, "/note/x", "1 me fine"), "kept");
    const cases: [string, string | Uint8Array, string | Uint8Array][] = [
      ["an unknown kind", "/disk/x", "1 me my files"],
      ["libp2p's kind of public keys", "/pk/x", "1 me x"],
      ["no kind", "x", "1 me x"],
      ["a value over the bound", "/note/y", `1 me ${"x".repeat(64)}`],
      ["a value against the rule", "/note/y", "no number"],
      ["a key over the bound", `/note/${"k".repeat(1_100)}`, "1 me x"],
      [
        "a key that is not text",
        Buffer.from("2f6e6f74652fff", "hex"),
        "1 me x",
      ],
      ["another's probe", probeKey(host.peerId), await probe(client, host)],
    ];
    for (const [what, key, value] of cases)
      assert.equal(await client.put(host, key, value), "refused", what);
    assert.equal(host.dht.status().records, 1);
    assert.equal(await client.get(host, "/note/y"), undefined);
  });

  test("may not hide a record behind another key", async (t) => {
    const host = await server(t);
    const client = await stranger(t, host);
    await client.put(host, "/note/x", "1 me fine", "/disk/x");
    assert.equal(host.dht.status().records, 0);
    await client.put(host, "/disk/x", "1 me fine", "/note/x");
    assert.equal(await client.get(host, "/disk/x"), undefined);
  });

  test("may not bring back an older record, another with its number, or one of another owner", async (t) => {
    const host = await server(t);
    const client = await stranger(t, host);
    const steps: [string, string, string][] = [
      ["5 ada new", "kept", "5 ada new"],
      ["4 ada old", "refused", "5 ada new"],
      ["5 ada other", "refused", "5 ada new"],
      ["9 eve mine", "refused", "5 ada new"],
      ["5 ada new", "kept", "5 ada new"],
      ["6 ada newer", "kept", "6 ada newer"],
    ];
    for (const [value, said, kept] of steps) {
      assert.equal(await client.put(host, "/note/x", value), said, value);
      assert.equal(await client.get(host, "/note/x"), kept);
    }
  });

  test("many puts of one key at once leave the newest", async (t) => {
    const host = await server(t);
    const client = await stranger(t, host);
    // libp2p (3.3.11) takes ten streams of a connection that is not set up yet.
    await client.get(host, "/note/x");
    const numbers = [3, 9, 1, 7, 20, 5, 12, 2, 18, 4, 11, 6];
    const said = await Promise.all(
      numbers.map((n) => client.put(host, "/note/x", `${n} me x`)),
    );
    assert.equal(said[numbers.indexOf(20)], "kept");
    assert.equal(await client.get(host, "/note/x"), "20 me x");
  });

  test("fills its share and no more; records that are renewed stay", async (t) => {
    const host = await server(t, {
      dhtLimits: { records: 3, providerRecordsOfPeer: 2, providersOfKey: 2 },
    });
    const client = await stranger(t, host);
    for (const name of ["a", "b", "c"])
      assert.equal(await client.put(host, `/note/${name}`, "1 me x"), "kept");
    assert.equal(await client.put(host, "/note/a", "2 me x"), "kept");
    assert.equal(await client.put(host, "/note/d", "1 me x"), "kept");
    assert.equal(host.dht.status().records, 3);
    const kept = await Promise.all(
      ["a", "b", "c", "d"].map((name) => client.get(host, `/note/${name}`)),
    );
    assert.deepEqual(kept, ["2 me x", undefined, "1 me x", "1 me x"]);

    const keys = await Promise.all(
      ["1", "2", "3"].map(async (x) => (await cidOf(x)).multihash.bytes),
    );
    const [one, two, three] = keys as [Uint8Array, Uint8Array, Uint8Array];
    const self = client.id.toString();
    for (const key of [one, two]) {
      await client.provide(host, key);
      assert.deepEqual(await client.providers(host, key), [self]);
    }
    await client.provide(host, three);
    assert.deepEqual(await client.providers(host, three), []);
    const [second, third] = [await stranger(t, host), await stranger(t, host)];
    await second.provide(host, one);
    await third.provide(host, one);
    await third.provide(host, three);
    assert.deepEqual(await third.providers(host, three), [String(third.id)]);
    assert.deepEqual(
      (await third.providers(host, one)).toSorted(),
      [self, second.id.toString()].toSorted(),
    );
  });

  test("provides only in its own name, at keys that are hashes", async (t) => {
    const host = await server(t);
    const client = await stranger(t, host);
    const { bytes } = (await cidOf("x")).multihash;
    await client.provide(host, bytes, peerIdFromString(host.peerId));
    assert.deepEqual(await client.providers(host, bytes), []);
    const long = CID.createV1(raw.code, identity.digest(Buffer.alloc(200)));
    await client.provide(host, long.bytes);
    assert.deepEqual(await client.providers(host, long.bytes), []);
    // Ten thousand addresses of a peer are not stored, and it is still known by its real ones.
    await client.provide(host, bytes, client.id, 10_000);
    await client.provide(host, bytes);
    assert.deepEqual(await client.providers(host, bytes), [String(client.id)]);
  });
});

async function probe(client: Stranger, host: Host): Promise<Uint8Array> {
  return await probeRecord(probeKey(host.peerId), Date.now(), client.sign);
}
