import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  access,
  open,
  readdir,
  readFile,
  rename,
  statfs,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { type ErrorCode, isShoalError } from "../lib/index.ts";
import { PieceSet } from "./piece-set.ts";
import { pieceCount, rootOfPieces, toRoot } from "./piece-tree.ts";
import { metadataOf } from "../../test/fakes/store.ts";
import {
  type StoreFixture,
  storeFixture,
} from "../../test/fakes/store-folders.ts";
import type { DiskStore } from "./store.ts";
import { type ContentMetadata, PIECE_BYTES } from "./types.ts";

const MIB = PIECE_BYTES;
const SIZE_BYTES = 4 * MIB + 12_345;
const data = randomBytes(SIZE_BYTES);
const metadata = metadataOf(data);
const description = { name: "layer.0 of a test", kind: "part" } as const;

/** Of a content that nobody has. */
function imagined(sizeBytes: number, fill: number): ContentMetadata {
  const pieceHashes = new Uint8Array(32 * pieceCount(sizeBytes)).fill(fill);
  return { root: toRoot(rootOfPieces(pieceHashes)), sizeBytes, pieceHashes };
}

function piece(index: number, of: Uint8Array = data): Uint8Array {
  return of.subarray(index * MIB, (index + 1) * MIB);
}

async function storeIn(
  t: TestContext,
): Promise<StoreFixture & { store: DiskStore; path: string }> {
  const fixture = await storeFixture(t);
  const store = await fixture.start();
  return { ...fixture, store, path: join(fixture.models, "content") };
}

function fails(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isShoalError(error, code);
}

test("a download is shared piece by piece while it runs, and under its name at the end", async (t) => {
  const { store, path, models } = await storeIn(t);
  let changes = 0;
  store.onChange(() => changes++);
  const partial = await store.open(metadata, { ...description, path });
  const { root } = metadata;
  assert.deepEqual(store.get(root)?.have, new Uint8Array([0]));
  await assert.rejects(store.readPiece(root, 3), fails("PIECE_MISSING"));
  const order = [3, 0, 4, 2, 1];
  const expected = new PieceSet(5);
  for (const index of order) {
    const before = changes;
    await partial.writePiece(index, piece(index));
    assert.ok(changes > before);
    expected.add(index);
    assert.deepEqual(store.get(root)?.have, expected.bits);
    assert.deepEqual(
      Buffer.from(await store.readPiece(root, index)),
      piece(index),
    );
    await assert.rejects(access(path));
  }
  assert.equal(await partial.finish(), path);
  assert.deepEqual(await readFile(path), data);
  assert.deepEqual(await readdir(models), ["content"]);
  const content = store.get(root);
  assert.deepEqual(content?.ranges, [
    { path, offset: 0, sizeBytes: SIZE_BYTES },
  ]);
  assert.deepEqual(Buffer.from(await store.readPiece(root, 4)), piece(4));
  assert.equal(store.hashedBytes, 0);
});

test("a finished download is known after a restart, with its name and kind, and is not hashed", async (t) => {
  const { store, path, start } = await storeIn(t);
  const options = { ...description, path, manifest: "bafytest" };
  const partial = await store.open(metadata, options);
  for (let i = 0; i < 5; i++) await partial.writePiece(i, piece(i));
  await partial.finish();
  await store.stop();
  const again = await start();
  const content = again.get(metadata.root);
  assert.equal(content?.name, description.name);
  assert.equal(content.kind, "part");
  assert.equal(content.manifest, "bafytest");
  assert.deepEqual(content.have, PieceSet.full(5).bits);
  assert.equal(again.hashedBytes, 0);
  // Once its bytes differ it is not a content any more, and not a GGUF either.
  await again.stop();
  await writeFile(path, randomBytes(SIZE_BYTES));
  assert.deepEqual((await start()).list(), []);
});

test("wrong bytes of a piece are refused, and none of them are on disk", async (t) => {
  const { store, path } = await storeIn(t);
  const partial = await store.open(metadata, { ...description, path });
  const wrong = Buffer.from(piece(1));
  wrong[70_000] = (wrong[70_000] ?? 0) ^ 1;
  for (const [index, bytes] of [
    [1, wrong],
    [1, piece(0)],
    [1, piece(1).subarray(1)],
    [4, Buffer.concat([piece(4), Buffer.alloc(1)])],
    [5, piece(0)],
    [-1, piece(0)],
  ] as const) {
    await assert.rejects(
      partial.writePiece(index, bytes),
      fails("PIECE_INVALID"),
    );
  }
  assert.deepEqual(await readFile(`${path}.part`), Buffer.alloc(SIZE_BYTES));
  await assert.rejects(partial.finish(), fails("PIECE_MISSING"));
});

test("the same piece from several sources at once is written once", async (t) => {
  const { store, path } = await storeIn(t);
  const partial = await store.open(metadata, { ...description, path });
  let grew = 0;
  store.onChange(() => grew++);
  await Promise.all(
    [0, 0, 0, 1, 1].map((i) => partial.writePiece(i, piece(i))),
  );
  assert.equal(grew, 2);
  assert.deepEqual(partial.content.have, new Uint8Array([0b11]));
});

test("metadata that does not fit its root is refused before anything is written", async (t) => {
  const { store, path, models } = await storeIn(t);
  const pieceHashes = metadata.pieceHashes.map((byte) => byte ^ 1);
  await assert.rejects(
    store.open({ ...metadata, pieceHashes }, { ...description, path }),
    fails("CONTENT_INVALID"),
  );
  assert.deepEqual(await readdir(models), []);
});

test("a download is resumed with its verified pieces; a piece damaged meanwhile is downloaded again", async (t) => {
  const { store, path } = await storeIn(t);
  const first = await store.open(metadata, { ...description, path });
  for (const i of [0, 2, 4]) await first.writePiece(i, piece(i));
  await first.close();
  await first.close();
  await assert.rejects(first.writePiece(1, piece(1)), fails("ABORTED"));
  assert.equal(store.get(metadata.root), undefined);
  const file = await open(`${path}.part`, "r+");
  await file.write(Buffer.from("damage"), 0, 6, 2 * MIB + 99);
  await file.close();
  await store.rescan();
  const [unfinished] = await store.unfinished();
  assert.equal(unfinished?.path, path);
  assert.equal(unfinished.metadata.root, metadata.root);
  const second = await store.open(metadata, { ...description, path });
  assert.deepEqual(second.content.have, new Uint8Array([0b10001]));
  assert.deepEqual(await store.unfinished(), []);
  for (const i of [1, 2, 3]) await second.writePiece(i, piece(i));
  await second.finish();
  assert.deepEqual(await readFile(path), data);
});

test("an unfinished download of another content under the same name is discarded", async (t) => {
  const { store, path } = await storeIn(t);
  const first = await store.open(metadata, { ...description, path });
  await first.writePiece(0, piece(0));
  await first.close();
  const other = randomBytes(3 * MIB);
  const second = await store.open(metadataOf(other), { ...description, path });
  assert.deepEqual(second.content.have, new Uint8Array([0]));
  for (const i of [0, 1, 2]) await second.writePiece(i, piece(i, other));
  await second.finish();
  assert.deepEqual(await readFile(path), other);
});

test("a damaged state counts as none", async (t) => {
  const { store, path } = await storeIn(t);
  const first = await store.open(metadata, { ...description, path });
  await first.writePiece(0, piece(0));
  await first.close();
  const state = await readFile(`${path}.part.state`);
  for (const at of [0, 9, 40, 150, state.length - 40]) {
    const damaged = Buffer.from(state);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    await writeFile(`${path}.part.state`, damaged);
    const again = await store.open(metadata, { ...description, path });
    assert.deepEqual(again.content.have, new Uint8Array([0]), `byte ${at}`);
    await again.close();
  }
});

test("a state that marks missing pieces is not believed", async (t) => {
  const { store, path } = await storeIn(t);
  const first = await store.open(metadata, { ...description, path });
  await first.writePiece(0, piece(0));
  await first.close();
  const state = await readFile(`${path}.part.state`);
  // As after a power cut that kept the mark and lost the data; the bits past the last piece are noise.
  state[state.length - 1] = 0xff;
  await writeFile(`${path}.part.state`, state);
  const again = await store.open(metadata, { ...description, path });
  assert.deepEqual(again.content.have, new Uint8Array([1]));
});

test("the same content or path twice at once is refused, as is a name that is taken", async (t) => {
  const { store, path, models } = await storeIn(t);
  const partial = await store.open(metadata, { ...description, path });
  await assert.rejects(
    store.open(metadata, { ...description, path: `${path}.other` }),
    fails("CONTENT_BUSY"),
  );
  const other = metadataOf(randomBytes(10));
  await assert.rejects(
    store.open(other, { ...description, path }),
    fails("CONTENT_BUSY"),
  );
  const taken = join(models, "taken");
  await writeFile(taken, "precious");
  await assert.rejects(
    store.open(other, { ...description, path: taken }),
    fails("FILE_UNWRITABLE"),
  );
  // Taken only meanwhile: the download stays, and ends once the name is free.
  for (let i = 0; i < 5; i++) await partial.writePiece(i, piece(i));
  await writeFile(path, "precious");
  await assert.rejects(partial.finish(), fails("FILE_UNWRITABLE"));
  assert.equal(await readFile(path, "utf8"), "precious");
  await rename(path, `${path}.moved`);
  await partial.finish();
  assert.deepEqual(await readFile(path), data);
});

test("a name given before the process was killed is kept, once its bytes are verified", async (t) => {
  const { store, path, models } = await storeIn(t);
  const same = { ...description, path };
  // Another file of the same size: it stays unchanged.
  const other = randomBytes(SIZE_BYTES);
  await writeFile(path, other);
  await assert.rejects(store.open(metadata, same), fails("FILE_UNWRITABLE"));
  assert.deepEqual(await readFile(path), other);
  assert.deepEqual(await readdir(models), ["content"]);
  await writeFile(path, data);
  const partial = await store.open(metadata, same);
  assert.deepEqual(partial.content.have, PieceSet.full(5).bits);
  const { root } = metadata;
  assert.deepEqual(Buffer.from(await store.readPiece(root, 4)), piece(4));
  assert.equal(await partial.finish(), path);
  assert.deepEqual(await readFile(path), data);
  assert.deepEqual(await readdir(models), ["content"]);
  assert.equal(store.get(root)?.name, description.name);
  assert.deepEqual(Buffer.from(await store.readPiece(root, 2)), piece(2));
});

test("too little space is reported before anything is written, also if two fit only alone", async (t) => {
  const { store, path, models, folder } = await storeIn(t);
  const { bavail, bsize } = await statfs(folder);
  const free = Math.min(bavail * bsize, 2 ** 41);
  const tooMuch = store.open(imagined(free + 64 * MIB, 1), {
    ...description,
    path,
  });
  await assert.rejects(tooMuch, fails("DISK_FULL"));
  assert.deepEqual(await readdir(models), []);
  const most = Math.floor(free * 0.6);
  await store.open(imagined(most, 2), { ...description, path });
  await assert.rejects(
    store.open(imagined(most, 3), { ...description, path: `${path}.b` }),
    fails("DISK_FULL"),
  );
});

const canMount = spawnSync("unshare", ["-m", "true"]).status === 0;

test(
  "a disk that fills up meanwhile is reported, and the download continues when there is space",
  { skip: canMount ? false : "a separate disk cannot be mounted here" },
  async (t) => {
    const { models: disk, start } = await storeFixture(t);
    const mount = spawnSync("mount", [
      "-t",
      "tmpfs",
      "-o",
      "size=6m",
      "x",
      disk,
    ]);
    assert.equal(mount.status, 0, String(mount.stderr));
    try {
      const store = await start();
      const path = join(disk, "content");
      const partial = await store.open(metadata, { ...description, path });
      await partial.writePiece(0, piece(0));
      const other = join(disk, "other");
      await writeFile(other, Buffer.alloc(4 * MIB));
      await assert.rejects(partial.writePiece(1, piece(1)), fails("DISK_FULL"));
      assert.deepEqual(partial.content.have, new Uint8Array([1]));
      await writeFile(other, "");
      for (let i = 1; i < 5; i++) await partial.writePiece(i, piece(i));
      await partial.finish();
      assert.deepEqual(await readFile(path), data);
      await store.stop();
    } finally {
      spawnSync("umount", [disk]);
    }
  },
);
