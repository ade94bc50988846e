import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { merkleRoot } from "../lib/index.ts";
import { HashCache } from "./hash-cache.ts";
import { toRoot } from "./piece-tree.ts";
import type { FileStamp } from "./files.ts";
import type { FileRange } from "../gguf/index.ts";
import type { ContentMetadata } from "./types.ts";

const ranges: FileRange[] = [{ path: "/models/a", offset: 3, sizeBytes: 5 }];
const stamp: FileStamp = {
  path: "/models/a",
  sizeBytes: 8,
  mtimeNs: "1800000000123456789",
  inode: "7",
  device: "1",
};
const stamps = new Map([["/models/a", stamp]]);

function metadataOf(text: string): ContentMetadata {
  const root = merkleRoot(Buffer.from(text));
  return { root: toRoot(root), sizeBytes: text.length, pieceHashes: root };
}

function at(offset: number): FileRange[] {
  return [{ ...ranges[0]!, offset }];
}

async function savedCache(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), "state", "hashes");
  const cache = new HashCache(path);
  await cache.load();
  cache.set(ranges, stamps, metadataOf("bytes"));
  await cache.save();
  return path;
}

async function loaded(path: string): Promise<HashCache> {
  const cache = new HashCache(path);
  await cache.load();
  return cache;
}

test("hashes are known after a restart, and nothing else is left on disk", async (t) => {
  const path = await savedCache(t);
  const found = (await loaded(path)).get(ranges, stamps);
  assert.equal(found?.root, metadataOf("bytes").root);
  assert.deepEqual(await readdir(join(path, "..")), ["hashes"]);
});

for (const [name, otherRanges, otherStamp] of [
  ["another size", ranges, { sizeBytes: 9 }],
  ["another time of change", ranges, { mtimeNs: "1800000000123456790" }],
  ["another offset", [{ ...ranges[0]!, offset: 2 }], {}],
  ["another length", [{ ...ranges[0]!, sizeBytes: 4 }], {}],
  ["another file", [{ ...ranges[0]!, path: "/models/b" }], {}],
  ["one range more", [...ranges, ...ranges], {}],
] as const) {
  test(`${name} is not known`, async (t) => {
    const cache = await loaded(await savedCache(t));
    const other = new Map([["/models/a", { ...stamp, ...otherStamp }]]);
    assert.equal(cache.get(otherRanges, other), undefined);
  });
}

test("a cache with any damage counts as empty and is rewritten", async (t) => {
  const path = await savedCache(t);
  const whole = await readFile(path);
  for (let at = 0; at < whole.length; at += 7) {
    await writeFile(
      path,
      whole.map((byte, i) => (i === at ? byte ^ 4 : byte)),
    );
    assert.equal((await loaded(path)).get(ranges, stamps), undefined);
  }
  for (const length of [0, 5, 40, whole.length - 1]) {
    await writeFile(path, whole.subarray(0, length));
    const cache = await loaded(path);
    assert.equal(cache.get(ranges, stamps), undefined);
    cache.set(ranges, stamps, metadataOf("bytes"));
    await cache.save();
    assert.ok((await loaded(path)).get(ranges, stamps));
  }
});

test("it keeps to its bound: the least recently used goes first", async (t) => {
  const path = join(await temporaryFolder(t), "hashes");
  const cache = new HashCache(path, { maxBytes: 3 * 128 });
  for (const i of [0, 1, 2]) cache.set(at(i), stamps, metadataOf(`${i}`));
  cache.get(at(0), stamps);
  cache.set(at(3), stamps, metadataOf("3"));
  const known = [0, 1, 2, 3].filter((i) => cache.get(at(i), stamps));
  assert.deepEqual(known, [0, 2, 3]);
});
