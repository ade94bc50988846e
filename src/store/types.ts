/** The types of this folder: what a content is, and what a store does. */
import type { FileRange } from "../gguf/index.ts";

export type { FileRange } from "../gguf/index.ts";

/** Root of a content's SHA-256 Merkle tree (BEP 52), 64 hex digits: its id. Same bytes, same root, whatever the file is called. */
export type Root = string;

/** A piece: 64 blocks of 16 KiB, the unit of requests, of verification and of resuming. */
export const PIECE_BYTES = 1024 * 1024;

/** What is needed to verify a content piece by piece. */
export interface ContentMetadata {
  root: Root;
  sizeBytes: number;
  /** The tree's layer of piece roots, 32 bytes each, checked against the root. */
  pieceHashes: Uint8Array;
}

export type ContentKind =
  /** A part of a model: metadata, embedding, layer.i, output. */
  | "part"
  /** A shard's GGUF. */
  | "shard"
  /** Any whole file. */
  | "file";

/** A content that is here, whole or in part. */
export interface Content {
  metadata: ContentMetadata;
  kind: ContentKind;
  /** For people: a file's base name, or "layer.3 of <model>". Never an identity. */
  name: string;
  /** CID of the model's manifest that it belongs to, where known. */
  manifest?: string | undefined;
  /** Its bytes are these ranges in order; an empty path stands for the zeros between tensors. */
  ranges: readonly FileRange[];
  /** Belongs to this node's own shard, not to another shared file. */
  primary: boolean;
  /** Verified pieces, one bit each, lowest first. All ones if the content is whole. */
  have: Uint8Array;
}

/** A content that is downloading. */
export interface PartialContent {
  readonly content: Content;
  /**
   * Verifies, then writes to disk; the piece is shared from then on. The bytes change owner: a buffer of a piece's size is empty
   * afterwards. Resolves with memory for another piece. Rejects PIECE_INVALID if the bytes are wrong.
   */
  writePiece(index: number, bytes: Uint8Array): Promise<Uint8Array>;
  /** Syncs and renames to the final path when all pieces are written. Returns the path. */
  finish(): Promise<string>;
  /** Abandons the download; verified pieces stay on disk, and the next `open` resumes. */
  close(): Promise<void>;
}

/** What a transfer needs from a store. */
export interface ContentStore {
  list(): Content[];
  get(root: Root): Content | undefined;
  /** Bytes of one verified piece. Rejects CONTENT_CHANGED if the file changed since it was hashed (it is dropped then). */
  readPiece(root: Root, index: number): Promise<Uint8Array>;
  /** The metadata from an earlier download of this content to `path`, which need not be fetched again. */
  resumable(root: Root, path: string): Promise<ContentMetadata | undefined>;
  /** Begins or resumes a download to `path`. Rejects DISK_FULL before anything is written. */
  open(
    metadata: ContentMetadata,
    options: {
      path: string;
      name: string;
      kind: ContentKind;
      manifest?: string;
    },
  ): Promise<PartialContent>;
  /** Contents were added, grew or were removed. */
  onChange(listener: () => void): () => void;
}
