/** The words of this folder: what a content is, and what a store of contents does. */
import type { FileRange } from "../gguf/index.ts";

export type { FileRange } from "../gguf/index.ts";

/** Root of a content's SHA-256 Merkle tree (BEP 52), 64 hex digits: its id. Same bytes, same root, whatever the file is called. */
export type Root = string;

/** A piece: 64 blocks of 16 KiB, the unit of requests, of verification and of resuming. */
export const PIECE_BYTES = 1024 * 1024;

/** What it takes to verify a content piece by piece. */
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

/** A content that is here, wholly or in part. */
export interface Content {
  metadata: ContentMetadata;
  kind: ContentKind;
  /** For people: a file's base name, or "layer.3 of <model>". Never an identity. */
  name: string;
  /** CID of the model's manifest that it belongs to, where known. */
  manifest?: string | undefined;
  /** Its bytes are these, one after the other; a part that is padded between tensors names zeros by an empty path. */
  ranges: readonly FileRange[];
  /** Of this node's own shard, as against a file that is seeded besides. */
  primary: boolean;
  /** Verified pieces, one bit each, lowest first. All ones where the content is whole. */
  have: Uint8Array;
}

/** A content that is coming in. */
export interface PartialContent {
  readonly content: Content;
  /**
   * Verifies, then writes straight to disk; the piece is served from then on. The bytes are handed over: a buffer of a piece's size is empty
   * afterwards. Resolves with memory for another piece. Rejects PIECE_INVALID where they are not the piece's.
   */
  writePiece(index: number, bytes: Uint8Array): Promise<Uint8Array>;
  /** All pieces are there: syncs and renames to the final path. Returns it. */
  finish(): Promise<string>;
  /** Gives the download up; what was verified stays on disk and is taken up again by the next `open`. */
  close(): Promise<void>;
}

/** What the transfer needs of a store. */
export interface ContentStore {
  list(): Content[];
  get(root: Root): Content | undefined;
  /** Bytes of one verified piece. Rejects CONTENT_CHANGED where the file is no longer what was hashed (it is dropped then). */
  readPiece(root: Root, index: number): Promise<Uint8Array>;
  /** What an earlier download of this content to `path` knew of it: nothing of that need be fetched again. */
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
  /** Contents came, grew or went. */
  onChange(listener: () => void): () => void;
}
