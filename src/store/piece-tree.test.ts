import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { isShoalError, merkleRoot } from "../lib/index.ts";
import { PieceHasher } from "./piece-hasher.ts";
import {
  MAX_CONTENT_BYTES,
  pieceCount,
  pieceHash,
  pieceSize,
  rootOfPieces,
  toRoot,
  verifyPiece,
  verifyPieceLayer,
} from "./piece-tree.ts";
import { type ContentMetadata, PIECE_BYTES } from "./types.ts";

const MIB = PIECE_BYTES;
const BLOCK = 16 * 1024;

/**
 * The reference of BEP 52 (https://www.bittorrent.org/beps/bep_0052_torrent_creator.py), its steps written out: pieces of block hashes, the
 * first padded to a power of two where the file ends in it, the others to the piece; above them the layer padded with hashes of empty pieces.
 */
function reference(data: Uint8Array): { root: string; layer: string } {
  const perPiece = MIB / BLOCK;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += MIB) {
    const blocks: Uint8Array[] = [];
    for (let b = at; b < Math.min(at + MIB, data.length); b += BLOCK)
      blocks.push(sha(data.subarray(b, Math.min(b + BLOCK, data.length))));
    const needed = pieces.length === 0 ? ceilPower(blocks.length) : perPiece;
    pieces.push(rootHash([...blocks, ...zeros(needed - blocks.length)]));
  }
  const layer = Buffer.concat(pieces).toString("hex");
  const padding = rootHash(zeros(perPiece));
  while (pieces.length < ceilPower(pieces.length)) pieces.push(padding);
  return { root: Buffer.from(rootHash(pieces)).toString("hex"), layer };
}

function sha(...parts: Uint8Array[]): Uint8Array {
  return parts
    .reduce((hasher, part) => hasher.update(part), createHash("sha256"))
    .digest();
}

function rootHash(hashes: readonly Uint8Array[]): Uint8Array {
  assert.equal(Math.log2(hashes.length) % 1, 0);
  let level = hashes;
  while (level.length > 1) {
    level = level.flatMap((node, i) =>
      i % 2 === 0 ? [sha(node, level[i + 1]!)] : [],
    );
  }
  return level[0]!;
}

function ceilPower(n: number): number {
  return 2 ** Math.ceil(Math.log2(n));
}

function zeros(count: number): Uint8Array[] {
  return Array.from({ length: count }, () => new Uint8Array(32));
}

function describe(data: Uint8Array): ContentMetadata {
  const isOnly = pieceCount(data.length) === 1;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += MIB)
    pieces.push(pieceHash(data.subarray(at, at + MIB), { isOnly }));
  const pieceHashes = new Uint8Array(Buffer.concat(pieces));
  return {
    root: toRoot(rootOfPieces(pieceHashes)),
    sizeBytes: data.length,
    pieceHashes,
  };
}

function randomData(sizeBytes: number): Uint8Array {
  const random = new Random(sizeBytes, "content");
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  random.fillWords(words);
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

for (const [name, sizeBytes] of [
  ["one byte", 1],
  ["one block", BLOCK],
  ["three leaves, a tree of four", 2 * BLOCK + 1],
  ["a byte short of a piece", MIB - 1],
  ["one piece", MIB],
  ["a piece and a byte", MIB + 1],
  ["two pieces", 2 * MIB],
  ["three pieces, a layer of four", 3 * MIB],
  ["five and a bit, a layer of eight", 5 * MIB + 3 * BLOCK + 7],
] as const) {
  test(`${name}: piece hashes and root are those of the reference`, () => {
    const data = randomData(sizeBytes);
    const expected = reference(data);
    const metadata = describe(data);
    assert.equal(metadata.root, expected.root);
    assert.equal(toRoot(metadata.pieceHashes), expected.layer);
    assert.equal(metadata.root, toRoot(merkleRoot(data)));
    verifyPieceLayer(metadata);
    for (let i = 0; i < pieceCount(sizeBytes); i++) {
      const end = i * MIB + pieceSize(sizeBytes, i);
      verifyPiece(metadata, i, data.subarray(i * MIB, end));
    }
  });

  test(`${name}: streamed in chunks of any length, the piece hashes are the same`, () => {
    const data = randomData(sizeBytes);
    const random = new Random(sizeBytes, "chunks");
    const isOnly = pieceCount(sizeBytes) === 1;
    const hasher = new PieceHasher(sizeBytes, { isOnly });
    for (let at = 0; at < sizeBytes;) {
      const end = at + 1 + random.below(3 * BLOCK);
      hasher.update(data.subarray(at, end));
      at = end;
    }
    assert.equal(toRoot(hasher.finish()), reference(data).layer);
  });
}

/** From torrents that libtorrent made (arvidn/libtorrent, test/test_torrents/v2.torrent, v2_only.torrent). */
for (const [name, sizeBytes, root] of [
  [
    "test64K",
    65_536,
    "60aae9c7b428f87e0713e88229e18f0adf12cd7b22a0dd8a92bb2485eb7af242",
  ],
  [
    "test1MB",
    1_048_576,
    "515ea9181744b817744ded9d2e8e9dc6a8450c0b0c52e24b5077f302ffbd9008",
  ],
] as const) {
  test(`${name}, a file of zeros, has the root that its torrent says`, () => {
    assert.equal(describe(new Uint8Array(sizeBytes)).root, root);
  });
}

test("stress_test0, 1000 pieces of 1 MiB, has the root that libtorrent's torrent of it says", () => {
  // test/test_torrents/v2_multiple_files.torrent; the bytes are those of generate_block in examples/connection_tester.cpp.
  const pieceHashes = new Uint8Array(1000 * 32);
  const words = new Uint32Array(MIB / 4);
  for (let piece = 0; piece < 1000; piece++) {
    for (let block = 0; block < 64; block++) {
      const at = (block * BLOCK) / 4;
      words.fill((piece << 8) | block, at, at + BLOCK / 4);
    }
    const bytes = new Uint8Array(words.buffer);
    pieceHashes.set(pieceHash(bytes, { isOnly: false }), piece * 32);
  }
  assert.equal(
    toRoot(rootOfPieces(pieceHashes)),
    "6dae0824f0dc38043079dfacce900cb7b24f308868c2dff3b23f9af2f218903d",
  );
});

const good = describe(randomData(2 * MIB + 5));
const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

for (const [name, wrong] of [
  ["a flipped bit", { pieceHashes: flipped(good.pieceHashes, 40) }],
  ["a hash too few", { pieceHashes: good.pieceHashes.subarray(32) }],
  ["no hashes", { pieceHashes: new Uint8Array() }],
  ["half a hash", { pieceHashes: good.pieceHashes.subarray(0, 80) }],
  ["another size", { sizeBytes: 3 * MIB + 1 }],
  ["no bytes", { sizeBytes: 0, pieceHashes: new Uint8Array() }],
  ["a negative size", { sizeBytes: -1 }],
  ["a size that is not an integer", { sizeBytes: 2 * MIB + 0.5 }],
  ["a size that is not a number", { sizeBytes: NaN }],
  ["a size beyond all bounds", { sizeBytes: MAX_CONTENT_BYTES + 1 }],
  ["another root", { root: "0".repeat(64) }],
  ["a root in capitals", { root: good.root.toUpperCase() }],
  ["an invalid root", { root: "../../etc/passwd" }],
] as const) {
  test(`metadata with ${name} is refused`, () => {
    assert.throws(
      () => verifyPieceLayer({ ...good, ...wrong }),
      (error) => isShoalError(error, "CONTENT_INVALID"),
    );
  });
}

test("a piece with other bytes, another length or another position is refused", () => {
  const data = randomData(2 * MIB + 5);
  const first = data.subarray(0, MIB);
  const last = data.subarray(2 * MIB);
  verifyPiece(good, 0, first);
  verifyPiece(good, 2, last);
  for (const [index, bytes] of [
    [1, first],
    [0, flipped(first, 7)],
    [0, data.subarray(0, MIB - 1)],
    [0, data.subarray(0, MIB + 1)],
    [2, new Uint8Array([...last, 0])],
    [2, new Uint8Array()],
    [3, last],
    [-1, first],
    [0.5, first],
    [NaN, first],
  ] as const) {
    assert.throws(
      () => verifyPiece(good, index, bytes),
      (error) => isShoalError(error, "PIECE_INVALID"),
      `piece ${index} of ${bytes.length} bytes`,
    );
  }
});
