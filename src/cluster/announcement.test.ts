/** Records from strangers: only a peer's own, bounded announcements are accepted. */
import assert from "node:assert/strict";
import { encode } from "@ipld/dag-cbor";
import { test } from "node:test";
import { announcementOf } from "../../test/support/announcements.ts";
import { createHost } from "../network/index.ts";
import {
  type Announcement,
  ANNOUNCEMENT,
  type Sealed,
  seal,
  unseal,
} from "./announcement.ts";
import {
  type ClusterRecord,
  sealClusterRecord,
  supersedes,
  unsealClusterRecord,
} from "./cluster-record.ts";

const NOW = 1_800_000_000_000;
const alice = await createHost();
const mallory = await createHost();

function announcement(changes: Partial<Announcement> = {}): Announcement {
  return announcementOf({
    peer: alice.peerId,
    msPerToken: undefined,
    addresses: ["/ip4/127.0.0.1/udp/1/quic-v1"],
    issuedMs: NOW,
    ttlMs: ANNOUNCEMENT.ttlMs,
    ...changes,
  });
}

const byAlice = (data: Uint8Array): Promise<Uint8Array> => alice.sign(data);
const byMallory = (data: Uint8Array): Promise<Uint8Array> => mallory.sign(data);

async function raw(value: unknown): Promise<Sealed> {
  const bytes = encode(value);
  return {
    record: Buffer.from(bytes).toString("base64"),
    signature: Buffer.from(await alice.sign(bytes)).toString("base64"),
  };
}

test("a peer's announcement arrives unchanged; the unknown stays unknown", async () => {
  const { msPerToken, ...said } = announcement();
  assert.equal(msPerToken, undefined);
  assert.deepEqual(await unseal(await seal(announcement(), byAlice)), said);
});

const refused: [name: string, make: () => Promise<Sealed>, reason: string][] = [
  ["signed by another", () => seal(announcement(), byMallory), "forged"],
  [
    "changed after it was signed",
    async () => ({
      ...(await seal(announcement({ seq: 2 }), byAlice)),
      signature: (await seal(announcement(), byAlice)).signature,
    }),
    "forged",
  ],
  [
    "without a signature",
    async () => ({ ...(await seal(announcement(), byAlice)), signature: "" }),
    "forged",
  ],
  [
    "oversized",
    () => raw({ ...announcement(), msPerToken: 1, model: "x".repeat(9000) }),
    "oversized",
  ],
  [
    "of layers that do not exist",
    () => seal(announcement({ layerEnd: 9 }), byAlice),
    "malformed",
  ],
  [
    "of no layers",
    () => seal(announcement({ layerStart: 2 }), byAlice),
    "malformed",
  ],
  [
    "of a round trip that is no whole number",
    () => raw({ ...announcement({ msPerToken: 1 }), roundTrips: [1.5] }),
    "malformed",
  ],
  [
    "of a negative round trip",
    () => raw({ ...announcement({ msPerToken: 1 }), roundTrips: [-1] }),
    "malformed",
  ],
  [
    "of more round trips than links",
    () =>
      raw({
        ...announcement({ msPerToken: 1 }),
        roundTrips: new Array(17).fill(1),
      }),
    "malformed",
  ],
  [
    "of a renewal of the wrong length",
    () =>
      raw({ ...announcement({ msPerToken: 1 }), renewal: new Uint8Array(15) }),
    "malformed",
  ],
  ["no record at all", () => raw([1, 2, 3]), "malformed"],
  [
    "no dag-cbor",
    async () => ({ record: "////", signature: "AA==" }),
    "malformed",
  ],
];
for (const [name, make, reason] of refused) {
  test(`an announcement that is ${name} is refused`, async () => {
    const sealed = await make();
    await assert.rejects(unseal(sealed), (error: unknown) => {
      const { code, details } = error as {
        code: string;
        details: { reason: string };
      };
      assert.deepEqual(
        [code, details.reason],
        ["ANNOUNCEMENT_INVALID", reason],
      );
      return true;
    });
  });
}

test("an announcement of another protocol version is refused with that reason", async () => {
  const sealed = await raw({ ...announcement(), msPerToken: 1, v: 1 });
  await assert.rejects(unseal(sealed), { code: "PROTOCOL_VERSION" });
});

const record: ClusterRecord = {
  v: 1,
  cluster: "friends",
  key: alice.peerId,
  manifest: "bafy",
  model: "demo",
  shards: 4,
  replication: 2,
  origin: ["https://hub.example/model.gguf"],
  seq: 1,
  issuedMs: NOW,
};

test("a record and an announcement may say how is computed, in known words only", async () => {
  const mode = { kv: "q8_0", batch: "fast" } as const;
  assert.deepEqual(
    await unsealClusterRecord(
      await sealClusterRecord({ ...record, ...mode }, byAlice),
    ),
    { ...record, ...mode },
  );
  const said = await unseal(
    await raw({ ...announcement({ msPerToken: 1 }), ...mode }),
  );
  assert.deepEqual([said.kv, said.batch], ["q8_0", "fast"]);
  await assert.rejects(
    unseal(await raw({ ...announcement({ msPerToken: 1 }), kv: "q9" })),
    {
      code: "ANNOUNCEMENT_INVALID",
    },
  );
});

test("a cluster's record belongs to its key, and only a newer one of that key replaces it", async () => {
  assert.deepEqual(
    await unsealClusterRecord(await sealClusterRecord(record, byAlice)),
    record,
  );
  await assert.rejects(
    unsealClusterRecord(await sealClusterRecord(record, byMallory)),
    { code: "ANNOUNCEMENT_INVALID" },
  );
  const file = await sealClusterRecord(
    { ...record, origin: ["file:///etc/passwd"] },
    byAlice,
  );
  await assert.rejects(unsealClusterRecord(file), {
    code: "ANNOUNCEMENT_INVALID",
  });
  assert.equal(supersedes(record, undefined), true);
  assert.equal(supersedes({ ...record, seq: 2 }, record), true);
  assert.equal(supersedes(record, record), false);
  assert.throws(
    () => supersedes({ ...record, key: mallory.peerId, seq: 9 }, record),
    { code: "COMMAND_UNAUTHORIZED" },
  );
});
