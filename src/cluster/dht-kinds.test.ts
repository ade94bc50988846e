import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "@ipld/dag-cbor";
import { isShoalError } from "../lib/index.ts";
import { announcementOf } from "../../test/support/announcements.ts";
import { startHost, within } from "../../test/support/network.ts";
import { createHost, type Host } from "../network/index.ts";
import { type Announcement, seal, type Sealed } from "./announcement.ts";
import { type ClusterRecord, sealClusterRecord } from "./cluster-record.ts";
import {
  clusterKey,
  clusterRecordKinds,
  decodeAnnouncements,
  decodeClusterRecord,
  encodeAnnouncements,
  encodeClusterRecord,
  nodeKey,
} from "./dht-kinds.ts";

async function announcement(
  host: Host,
  overrides: Partial<Announcement> = {},
): Promise<Sealed> {
  const now = Date.now();
  const record = announcementOf({
    peer: host.peerId,
    layerEnd: 4,
    shard: { index: 0, count: 2 },
    addresses: host.addresses().slice(0, 16),
    seq: now,
    issuedMs: now,
    ...overrides,
  });
  return await seal(record, (data) => host.sign(data));
}

async function record(
  key: Host,
  overrides: Partial<ClusterRecord> = {},
): Promise<Uint8Array> {
  const sealed = await sealClusterRecord(
    {
      v: 1,
      cluster: "friends",
      key: key.peerId,
      manifest: "bafy",
      model: "demo",
      shards: 2,
      replication: 2,
      origin: [],
      seq: 1,
      issuedMs: Date.now(),
      ...overrides,
    },
    (data) => key.sign(data),
  );
  return encodeClusterRecord(sealed);
}

test("a node's announcements are found in the DHT by another, all its shards at once", async (t) => {
  const recordKinds = clusterRecordKinds();
  const [rendezvous, node, other] = [
    await startHost(t, { recordKinds }),
    await startHost(t, { recordKinds }),
    await startHost(t, { recordKinds }),
  ];
  const at = { peerId: rendezvous.peerId, addresses: rendezvous.addresses() };
  await node.connect(at);
  const key = nodeKey("friends", node.peerId);
  const value = encodeAnnouncements([
    await announcement(node),
    await announcement(node, { layerStart: 4, layerEnd: 8 }),
  ]);
  assert.deepEqual((await node.dht.put(key, value)).stored, [
    rendezvous.peerId,
  ]);
  await node.stop();
  await other.connect(at);
  const got = await within(other.dht.get(key), "the record");
  assert.ok(got.value);
  const found = await decodeAnnouncements(got.value);
  assert.deepEqual(
    found.map(({ announcement: a }) => [a.peer, a.layerStart]),
    [
      [node.peerId, 0],
      [node.peerId, 4],
    ],
  );
});

test("announcements are kept only under their own peer and cluster, until they expire", async (t) => {
  const host = await createHost({ recordKinds: clusterRecordKinds() });
  t.after(() => host.stop());
  const eve = await createHost();
  t.after(() => eve.stop());
  await host.start();
  const key = nodeKey("friends", host.peerId);
  const long = await announcement(host, {
    addresses: Array.from(
      { length: 16 },
      () => `/dns4/${"x".repeat(400)}/tcp/1`,
    ),
  });
  const cases: [string, string, Uint8Array, string][] = [
    ["no JSON", key, Buffer.from("x"), "malformed"],
    ["nothing", key, encodeAnnouncements([]), "malformed"],
    [
      "another's key",
      nodeKey("friends", eve.peerId),
      encodeAnnouncements([await announcement(host)]),
      "forged",
    ],
    [
      "another cluster",
      nodeKey("foes", host.peerId),
      encodeAnnouncements([await announcement(host)]),
      "forged",
    ],
    [
      "signed by another",
      key,
      encodeAnnouncements([
        await seal(decoded(await announcement(host)), (data) => eve.sign(data)),
      ]),
      "forged",
    ],
    [
      "one forged among good ones",
      key,
      encodeAnnouncements([await announcement(host), await announcement(eve)]),
      "forged",
    ],
    [
      "too many",
      key,
      encodeAnnouncements(
        Array.from({ length: 17 }, () => ({ record: "", signature: "" })),
      ),
      "malformed",
    ],
    [
      "too large",
      key,
      encodeAnnouncements([long, long, long, long, long, long]),
      "oversized",
    ],
  ];
  for (const [what, under, value, reason] of cases)
    await assert.rejects(
      host.dht.put(under, value),
      (error) =>
        isShoalError(error, "DHT_RECORD_INVALID") &&
        error.details.reason === reason,
      what,
    );
  await host.dht.put(
    key,
    encodeAnnouncements([await announcement(host, { seq: 7 })]),
  );
  await assert.rejects(
    host.dht.put(
      key,
      encodeAnnouncements([await announcement(host, { seq: 6 })]),
    ),
    (error) => isShoalError(error, "DHT_RECORD_REFUSED"),
  );
});

test("a cluster's record is bound to the first key", async (t) => {
  const host = await startHost(t, { recordKinds: clusterRecordKinds() });
  const [ada, eve] = [await createHost(), await createHost()];
  t.after(() => ada.stop());
  t.after(() => eve.stop());
  const key = clusterKey("friends");
  await host.dht.put(key, await record(ada, { seq: 2 }));
  const refused: [string, Uint8Array, string][] = [
    [
      "another key's, newer",
      await record(eve, { seq: 9 }),
      "DHT_RECORD_REFUSED",
    ],
    [
      "the same key's, older",
      await record(ada, { seq: 1 }),
      "DHT_RECORD_REFUSED",
    ],
    [
      "another cluster's",
      await record(ada, { cluster: "foes", seq: 3 }),
      "DHT_RECORD_INVALID",
    ],
    [
      "not signed by its key",
      await record(eve, { key: ada.peerId, seq: 3 }),
      "DHT_RECORD_INVALID",
    ],
  ];
  for (const [what, value, code] of refused)
    await assert.rejects(
      host.dht.put(key, value),
      (error) => isShoalError(error) && error.code === code,
      what,
    );
  await host.dht.put(key, await record(ada, { seq: 3 }));
  const { value } = await host.dht.get(key);
  assert.ok(value);
  assert.equal((await decodeClusterRecord(value)).record.seq, 3);
});

function decoded(sealed: Sealed): Announcement {
  return decode(Buffer.from(sealed.record, "base64"));
}
