/**
 * The layer of a content's Merkle tree that its pieces are checked against (BEP 52, "piece layers",
 * https://www.bittorrent.org/beps/bep_0052.html). A piece of 1 MiB is a subtree of 64 leaves:
 *
 *     several pieces   each hashed as a full subtree, leaves past the end of the data are 32 zero bytes; above them the tree is padded to
 *                      a power of two with the hash of a subtree of 64 such leaves
 *     one piece        the tree has only as many leaves as the next power of two: the piece's hash is the root itself
 */
import { hash } from "node:crypto";
import { BLOCK_SIZE_BYTES, merkleRoot, ShoalError } from "../lib/index.ts";
import { type ContentMetadata, PIECE_BYTES, type Root } from "./types.ts";

export const HASH_BYTES = 32;
export const LEAVES_PER_PIECE = PIECE_BYTES / BLOCK_SIZE_BYTES;
/** Twice the largest published GGUF (2026: 1.4 TB); its piece hashes take 128 MiB. */
export const MAX_CONTENT_BYTES = 2 ** 42;

/** Hash of a subtree of 64 leaves without data. */
const EMPTY_PIECE = emptyPiece();

export function pieceCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / PIECE_BYTES);
}

/** Bytes of piece `index`: 1 MiB, the rest for the last one. */
export function pieceSize(sizeBytes: number, index: number): number {
  return Math.min(PIECE_BYTES, sizeBytes - index * PIECE_BYTES);
}

/** Hash of one piece, 32 bytes. `isOnly`: the content has no other. */
export function pieceHash(
  bytes: Uint8Array,
  { isOnly }: { isOnly: boolean },
): Uint8Array {
  if (isOnly) return merkleRoot(bytes);
  const nodes = Buffer.alloc(LEAVES_PER_PIECE * HASH_BYTES);
  for (let at = 0; at < bytes.length; at += BLOCK_SIZE_BYTES) {
    const block = bytes.subarray(at, at + BLOCK_SIZE_BYTES);
    const digest = hash("sha256", block, "binary");
    nodes.write(digest, (at / BLOCK_SIZE_BYTES) * HASH_BYTES, "latin1");
  }
  return new Uint8Array(reducePairs(nodes, LEAVES_PER_PIECE));
}

/** The root over a layer of piece hashes. */
export function rootOfPieces(pieceHashes: Uint8Array): Uint8Array {
  const count = pieceHashes.length / HASH_BYTES;
  if (count === 1) return new Uint8Array(pieceHashes);
  let width = 1;
  while (width < count) width *= 2;
  const nodes = Buffer.alloc(width * HASH_BYTES);
  nodes.set(pieceHashes);
  for (let i = count; i < width; i++) nodes.set(EMPTY_PIECE, i * HASH_BYTES);
  return new Uint8Array(reducePairs(nodes, width));
}

/**
 * Throws CONTENT_INVALID unless the number of piece hashes fits the size and they make the root. All metadata from peers is checked here.
 */
export function verifyPieceLayer(metadata: ContentMetadata): void {
  const { root, sizeBytes, pieceHashes } = metadata;
  const invalid = (reason: string): ShoalError =>
    new ShoalError("CONTENT_INVALID", `invalid content metadata: ${reason}`, {
      root: root.slice(0, 64),
    });
  if (!isRoot(root)) throw invalid("its root is not 64 hex digits");
  if (
    !Number.isInteger(sizeBytes) ||
    sizeBytes < 1 ||
    sizeBytes > MAX_CONTENT_BYTES
  ) {
    throw invalid(
      `expected a size of 1 to ${MAX_CONTENT_BYTES}, got ${sizeBytes}`,
    );
  }
  const count = pieceCount(sizeBytes);
  if (pieceHashes.length !== count * HASH_BYTES) {
    throw invalid(
      `${pieceHashes.length} bytes of piece hashes, ${count} pieces have ${count * HASH_BYTES}`,
    );
  }
  if (toRoot(rootOfPieces(pieceHashes)) !== root)
    throw invalid("its piece hashes do not make its root");
}

/** Throws PIECE_INVALID unless `bytes` are piece `index` of the content. The metadata itself must have been verified. */
export function verifyPiece(
  metadata: ContentMetadata,
  index: number,
  bytes: Uint8Array,
): void {
  verifyPieceSize(metadata, index, bytes.length);
  const isOnly = pieceCount(metadata.sizeBytes) === 1;
  verifyPieceHash(metadata, index, pieceHash(bytes, { isOnly }));
}

/** Checks what is possible before hashing. Throws PIECE_INVALID. */
export function verifyPieceSize(
  metadata: ContentMetadata,
  index: number,
  sizeBytes: number,
): void {
  const count = pieceCount(metadata.sizeBytes);
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw invalidPiece(metadata, index, `the content has ${count} pieces`);
  const expected = pieceSize(metadata.sizeBytes, index);
  if (sizeBytes !== expected)
    throw invalidPiece(
      metadata,
      index,
      `${sizeBytes} bytes, expected ${expected}`,
    );
}

export function expectedHash(
  { pieceHashes }: ContentMetadata,
  index: number,
): Uint8Array {
  return pieceHashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
}

/** Throws PIECE_INVALID. */
export function verifyPieceHash(
  metadata: ContentMetadata,
  index: number,
  actual: Uint8Array,
): void {
  if (Buffer.compare(actual, expectedHash(metadata, index)) !== 0)
    throw invalidPiece(metadata, index, "wrong hash");
}

function invalidPiece(
  { root }: ContentMetadata,
  piece: number,
  reason: string,
): ShoalError {
  return new ShoalError(
    "PIECE_INVALID",
    `piece ${piece} of ${root.slice(0, 12)}: ${reason}`,
    { root, piece },
  );
}

/** A root as text: its id. */
export function toRoot(bytes: Uint8Array): Root {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(
    "hex",
  );
}

export function isRoot(text: unknown): text is Root {
  return typeof text === "string" && /^[0-9a-f]{64}$/.test(text);
}

/** Hashes pairs level by level, in place, until one of `width` (a power of two) is left: the first 32 bytes of `nodes`, as a view. */
export function reducePairs(nodes: Buffer, width: number): Uint8Array {
  for (let left = width; left > 1; left /= 2) {
    for (let i = 0; i < left; i += 2) {
      const at = i * HASH_BYTES;
      const pair = nodes.subarray(at, at + 2 * HASH_BYTES);
      // As text: see PieceHasher.
      nodes.write(hash("sha256", pair, "binary"), at / 2, "latin1");
    }
  }
  return nodes.subarray(0, HASH_BYTES);
}

function emptyPiece(): Uint8Array {
  const nodes = Buffer.alloc(LEAVES_PER_PIECE * HASH_BYTES);
  return new Uint8Array(reducePairs(nodes, LEAVES_PER_PIECE));
}
