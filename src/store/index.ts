/**
 * The contents on this machine's disk. A content is bytes with an id: the root of their Merkle tree (BEP 52), whatever the file is called.
 * The store hashes the files of its folders, finds the contents in them (a part inside a model, a shard, a whole file), watches for changes,
 * and writes contents that are still downloading: each piece is verified before it reaches the disk.
 *
 *     const store = new DiskStore({ directories: ["models"], stateDir }, events);
 *     await store.start();
 *     const pieces = await store.read(root, offset, sizeBytes);
 */
export { Hasher } from "./hasher.ts";
export { exceeds, hasBit, PieceSet } from "./piece-set.ts";
export {
  HASH_BYTES,
  isRoot,
  MAX_CONTENT_BYTES,
  pieceCount,
  pieceHash,
  pieceSize,
  toRoot,
  verifyPiece,
  verifyPieceLayer,
} from "./piece-tree.ts";
export {
  STORE_DEFAULTS,
  type StoreSummary,
  DiskStore,
  type DiskStoreOptions,
} from "./store.ts";
export {
  type Content,
  type ContentKind,
  type ContentMetadata,
  type ContentStore,
  type PartialContent,
  PIECE_BYTES,
  type Root,
} from "./types.ts";
