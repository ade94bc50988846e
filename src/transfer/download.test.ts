/** Downloads between real hosts on loopback: whole, from several sources at once, resumed, limited, fair, and refused with the right error. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TRANSPORTS, within } from "../../test/support/network.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";
import {
  PieceSet,
  HASH_BYTES,
  pieceCount,
  toRoot,
  type Content,
} from "../store/index.ts";
import { rootOfPieces } from "../store/piece-tree.ts";
import { StoreDouble } from "../../test/fakes/store.ts";
import {
  MIB,
  randomBytes,
  swarmNode,
  wanted,
  type SwarmNode,
} from "../../test/fakes/transfer.ts";

/** Pieces of all contents that a node uploaded. */
function uploaded(node: SwarmNode): number {
  return Object.values(node.uploads.stats().pieces).reduce((a, b) => a + b, 0);
}

for (const transport of TRANSPORTS) {
  test(`a download over ${transport} arrives completely from one source, each piece once`, async (t) => {
    const [seeder, node] = [await swarmNode(t), await swarmNode(t)];
    const bytes = randomBytes(12 * MIB + 12_345);
    const { root } = seeder.store.add(bytes);
    const path = await within(
      node.downloads.download({
        ...wanted(root),
        sources: [seeder.spec(transport)],
      }),
      "the download",
    );
    assert.equal(path, wanted(root).path);
    assert.equal(Buffer.compare(node.store.bytes(root)!, bytes), 0);
    assert.equal(uploaded(seeder), 13);
    assert.deepEqual(
      node.store.written.toSorted((a, b) => a - b),
      Array.from({ length: 13 }, (_, i) => i),
    );
  });
}

describe("a download from several sources", () => {
  test("arrives from three sources at once", async (t) => {
    const seeders = [
      await swarmNode(t),
      await swarmNode(t),
      await swarmNode(t),
    ];
    const node = await swarmNode(t);
    const bytes = randomBytes(24 * MIB);
    const { root } = seeders.map((s) => s.store.add(bytes))[0]!;
    const linked: number[] = [];
    await within(
      node.downloads.download({
        ...wanted(root),
        sources: seeders.map((s) => s.spec("TCP")),
        onProgress: ({ sources }) => linked.push(sources),
      }),
      "the download",
    );
    assert.equal(Buffer.compare(node.store.bytes(root)!, bytes), 0);
    assert.equal(linked.at(-1) === undefined, false);
    for (const seeder of seeders) assert.ok(uploaded(seeder) > 0);
  });

  test("finishes from another source when one dies in the middle", async (t) => {
    // Both slow, so that there is a middle.
    const upload = { bytesPerSecond: 8 * MIB };
    const dying = await swarmNode(t, { upload });
    const other = await swarmNode(t, { upload });
    const node = await swarmNode(t);
    const bytes = randomBytes(16 * MIB);
    const { root } = dying.store.add(bytes);
    other.store.add(bytes);
    const died = Promise.withResolvers<void>();
    node.store.onWrite = () => {
      if (node.store.written.length === 4 && uploaded(dying) > 0)
        dying.stop().then(died.resolve, died.reject);
      else if (node.store.written.length === 5) died.resolve();
    };
    await within(
      node.downloads.download({
        ...wanted(root),
        sources: [dying.spec("TCP"), other.spec("TCP")],
      }),
      "the download",
    );
    await died.promise;
    assert.equal(Buffer.compare(node.store.bytes(root)!, bytes), 0);
    assert.deepEqual(node.bans, []);
  });

  test("downloaders of the same content feed each other", async (t) => {
    const seeder = await swarmNode(t);
    const bytes = randomBytes(32 * MIB);
    const { root } = seeder.store.add(bytes);
    const nodes = await Promise.all(
      Array.from({ length: 4 }, () => swarmNode(t)),
    );
    const all = [seeder, ...nodes];
    await within(
      Promise.all(
        nodes.map((node) =>
          node.downloads.download({
            ...wanted(root),
            sources: all
              .filter((other) => other !== node)
              .map((other) => other.spec("TCP")),
          }),
        ),
      ),
      "the downloads",
      60_000,
    );
    for (const node of nodes)
      assert.equal(Buffer.compare(node.store.bytes(root)!, bytes), 0);
    assert.ok(
      uploaded(seeder) <= 2 * 32,
      `the seeder uploaded ${uploaded(seeder)} pieces of 32`,
    );
  });
});

describe("a download", () => {
  test("requests only missing pieces", async (t) => {
    const seeder = await swarmNode(t);
    const bytes = randomBytes(8 * MIB);
    const { root } = seeder.store.add(bytes);
    const store = new StoreDouble();
    store.add(bytes, [0, 3, 7]);
    const node = await swarmNode(t, { store });
    await within(
      node.downloads.download({
        ...wanted(root),
        sources: [seeder.spec("TCP")],
      }),
      "the download",
    );
    assert.deepEqual(
      store.written.toSorted((a, b) => a - b),
      [1, 2, 4, 5, 6],
    );
    assert.equal(uploaded(seeder), 5);
  });

  test("uses sources that appear while it runs, and pieces that they get", async (t) => {
    const bytes = randomBytes(6 * MIB);
    const half = await swarmNode(t);
    const node = await swarmNode(t);
    const { root } = half.store.add(bytes, [0, 1, 2, 5]);
    const done = node.downloads.download({
      ...wanted(root),
      sources: [half.spec("TCP")],
    });
    await within(
      new Promise<void>((resolve) => {
        node.store.onChange(() => {
          if (node.store.written.length === 4) resolve();
        });
      }),
      "what the first has",
    );
    half.store.add(bytes, [0, 1, 2, 3, 5]);
    const other = await swarmNode(t);
    other.store.add(bytes, [4]);
    node.downloads.addSource(root, other.spec("QUIC"));
    await within(done, "the rest");
    assert.equal(Buffer.compare(node.store.bytes(root)!, bytes), 0);
    assert.equal(uploaded(other), 1);
  });

  test("needs no size: the last piece proves it", async (t) => {
    const seeder = await swarmNode(t);
    const node = await swarmNode(t);
    for (const size of [1, 16_384, MIB, MIB + 1, 3 * MIB - 5]) {
      const bytes = randomBytes(size);
      const { root } = seeder.store.add(bytes);
      await within(
        node.downloads.download({
          ...wanted(root),
          sources: [seeder.spec("QUIC")],
        }),
        `${size} bytes`,
      );
      assert.equal(Buffer.compare(node.store.bytes(root)!, bytes), 0);
    }
  });

  test("gives up if nobody has the missing pieces", async (t) => {
    const half = await swarmNode(t);
    const node = await swarmNode(t);
    const { root } = half.store.add(randomBytes(3 * MIB), [0, 2]);
    const options = { ...wanted(root), unavailableMs: 2_000 };
    await assert.rejects(
      within(
        node.downloads.download({ ...options, sources: [half.spec("TCP")] }),
        "the end",
      ),
      (error) =>
        isShoalError(error, "CONTENT_UNAVAILABLE") &&
        error.details.doneBytes === 2 * MIB,
    );
    assert.equal(node.store.closed, 1);
    await assert.rejects(
      within(
        node.downloads.download({ ...options, root: "0".repeat(64) }),
        "the end",
      ),
      (error) => isShoalError(error, "CONTENT_UNAVAILABLE"),
    );
  });

  test("stops when told to, and can be resumed", async (t) => {
    const seeder = await swarmNode(t);
    const node = await swarmNode(t);
    const bytes = randomBytes(8 * MIB);
    const { root } = seeder.store.add(bytes);
    const controller = new AbortController();
    const options = { ...wanted(root), sources: [seeder.spec("TCP")] };
    node.store.onWrite = () => {
      if (node.store.written.length === 2) controller.abort();
    };
    const stopped = node.downloads.download({
      ...options,
      signal: controller.signal,
    });
    await assert.rejects(node.downloads.download(options), (error) =>
      isShoalError(error, "CONTENT_BUSY"),
    );
    await assert.rejects(within(stopped, "the stop"), (error) =>
      isShoalError(error, "ABORTED"),
    );
    assert.equal(node.store.closed, 1);
    const before = node.store.written.length;
    assert.ok(before < 8);
    await within(node.downloads.download(options), "the rest");
    assert.equal(node.store.written.length, 8);
    assert.equal(Buffer.compare(node.store.bytes(root)!, bytes), 0);
  });

  test("fails with the disk's error", async (t) => {
    const seeder = await swarmNode(t);
    const node = await swarmNode(t);
    const { root } = seeder.store.add(randomBytes(4 * MIB));
    const { ShoalError } = await import("../lib/index.ts");
    node.store.onWrite = () => {
      if (node.store.written.length === 2)
        throw new ShoalError("DISK_FULL", "no space left");
    };
    await assert.rejects(
      within(
        node.downloads.download({
          ...wanted(root),
          sources: [seeder.spec("TCP")],
        }),
        "the end",
      ),
      (error) => isShoalError(error, "DISK_FULL"),
    );
    assert.equal(node.store.closed, 1);
    assert.deepEqual(node.bans, []);
  });

  test("keeps to its limit", async (t) => {
    const seeder = await swarmNode(t);
    const limit = 8 * MIB;
    const node = await swarmNode(t, { download: { bytesPerSecond: limit } });
    const { root } = seeder.store.add(randomBytes(8 * MIB));
    const startedMs = performance.now();
    await within(
      node.downloads.download({
        ...wanted(root),
        sources: [seeder.spec("TCP")],
      }),
      "the download",
    );
    const seconds = (performance.now() - startedMs) / 1000;
    // The bucket's quarter of a second and the last piece come early.
    assert.ok(seconds > 0.6, `8 MiB at 8 MiB/s took ${seconds} s`);
  });

  test("shares a source fairly with another, within one bound of memory", async (t) => {
    const seeder = await swarmNode(t, {
      upload: { bytesPerSecond: 24 * MIB },
    });
    const node = await swarmNode(t, { download: { memoryBytes: 3 * MIB } });
    const roots = Array.from(
      { length: 3 },
      () => seeder.store.add(randomBytes(8 * MIB)).root,
    );
    const done = new Map(roots.map((root) => [root, 0]));
    const atFirstEnd = Promise.withResolvers<number[]>();
    await within(
      Promise.all(
        roots.map(async (root) => {
          await node.downloads.download({
            ...wanted(root),
            sources: [seeder.spec("TCP")],
            onProgress: (p) => done.set(root, p.doneBytes),
          });
          const { downloads } = node.downloads.stats();
          atFirstEnd.resolve(downloads.map((d) => d.doneBytes));
        }),
      ),
      "three downloads",
    );
    for (const doneBytes of await atFirstEnd.promise)
      assert.ok(doneBytes >= 5 * MIB, `${doneBytes} bytes of another`);
  });
});

test("the piece hashes of 64 GiB arrive in many frames and are not a flood", async (t) => {
  const [seeder, node] = [await swarmNode(t), await swarmNode(t)];
  const sizeBytes = 2 ** 36;
  const pieceHashes = randomBytes(pieceCount(sizeBytes) * HASH_BYTES);
  const root = toRoot(rootOfPieces(pieceHashes));
  const content: Content = {
    metadata: { root, sizeBytes, pieceHashes },
    kind: "file",
    name: "large",
    ranges: [{ path: "/large", offset: 0, sizeBytes }],
    primary: false,
    have: PieceSet.full(pieceCount(sizeBytes)).bits,
  };
  seeder.store.get = () => content;
  // The download gets here only with all hashes.
  node.store.open = () =>
    Promise.reject(new ShoalError("DISK_FULL", "no room for it"));
  const done = node.downloads.download({
    ...wanted(root),
    sizeBytes,
    sources: [seeder.spec("TCP")],
  });
  await assert.rejects(within(done, "the end"), (error) =>
    isShoalError(error, "DISK_FULL"),
  );
  assert.deepEqual(node.bans, []);
});
