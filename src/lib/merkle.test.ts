import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { BLOCK_SIZE_BYTES, MerkleHasher, merkleRoot } from "./merkle.ts";

const sha = (...parts: Uint8Array[]): Uint8Array => {
  const h = createHash("sha256");
  for (const p of parts) h.update(p);
  return h.digest();
};

/** The definition, written out: hash the leaves, pad with zeros to a power of two, hash pairs until one is left. */
function rootByDefinition(data: Uint8Array): Uint8Array {
  let level: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += BLOCK_SIZE_BYTES) {
    level.push(sha(data.subarray(at, at + BLOCK_SIZE_BYTES)));
  }
  while (level.length === 0 || (level.length & (level.length - 1)) !== 0)
    level.push(new Uint8Array(32));
  while (level.length > 1) {
    const next: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2)
      next.push(sha(level[i]!, level[i + 1]!));
    level = next;
  }
  return level[0]!;
}

for (const size of [
  0, 1, 16383, 16384, 16385, 32768, 40000, 65536, 81920, 100_000, 262_145,
]) {
  test(`the root of ${size} bytes is the one that BEP 52 defines, however the bytes arrive`, () => {
    const data = randomBytes(size);
    const expected = Buffer.from(rootByDefinition(data)).toString("hex");
    assert.equal(Buffer.from(merkleRoot(data)).toString("hex"), expected);
    const hasher = new MerkleHasher();
    for (let at = 0; at < size; at += 5000)
      hasher.update(data.subarray(at, at + 5000));
    assert.equal(Buffer.from(hasher.digest()).toString("hex"), expected);
  });
}
