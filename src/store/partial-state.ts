/**
 * The state of a content that is still downloading, beside its `.part`:
 *
 *     "SHOALPS1"  u32 length  dag-cbor { root, sizeBytes, name, kind, manifest? }  piece hashes  sha256 of all that  a bit for each piece
 *
 * All but the bits is written once, whole. A bit is set after its piece was written, in place: it only ever goes from 0 to 1, so a write
 * cut short anywhere leaves fewer marks, never a wrong one. A killed process loses nothing of that (the kernel has both writes); after a
 * power cut a mark may have outlived its data, which is why every marked piece is hashed again when the download is taken up.
 */
import { hash } from "node:crypto";
import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import * as dagCbor from "@ipld/dag-cbor";
import { z } from "zod";
import { writeError, writeAll } from "../lib/index.ts";
import {
  HASH_BYTES,
  MAX_CONTENT_BYTES,
  pieceCount,
  verifyPieceLayer,
} from "./piece-tree.ts";
import { hasBit, PieceSet } from "./piece-set.ts";
import { writeWhole } from "./files.ts";
import type { ContentKind, ContentMetadata } from "./types.ts";

const MAGIC = Buffer.from("SHOALPS1", "latin1");
const PREFIX_BYTES = MAGIC.length + 4;
/** Names and ids; piece hashes are not in it. */
const MAX_HEADER_BYTES = 64 * 1024;

/** A download as it was requested. */
export interface PartialDescription {
  metadata: ContentMetadata;
  name: string;
  kind: ContentKind;
  manifest?: string | undefined;
}

const headerSchema = z.strictObject({
  root: z.string(),
  sizeBytes: z.int().min(1).max(MAX_CONTENT_BYTES),
  name: z.string().max(4096),
  kind: z.enum(["part", "shard", "file"]),
  manifest: z.string().max(256).optional(),
});

/** Undefined if there is none, or none that is valid. */
export async function readPartialState(
  path: string,
): Promise<(PartialDescription & { marked: PieceSet }) | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.size > maxStateBytes()) return undefined;
  const bytes = await readFile(path).catch(() => undefined);
  return bytes === undefined ? undefined : decode(bytes);
}

export class PartialState implements AsyncDisposable {
  readonly path: string;
  #file: FileHandle;
  #bitsOffset: number;
  #bits: Uint8Array;
  /** The bytes of the bits that are not on disk yet: first and last. */
  #dirty: [number, number] | undefined;
  #writing: Promise<void> | undefined;

  private constructor(
    path: string,
    file: FileHandle,
    bitsOffset: number,
    bits: Uint8Array,
  ) {
    this.path = path;
    this.#file = file;
    this.#bitsOffset = bitsOffset;
    this.#bits = bits;
  }

  /** Rewrites it. `bits` is the live set; `mark` writes its current value. */
  static async create(
    path: string,
    description: PartialDescription,
    bits: Uint8Array,
  ): Promise<PartialState> {
    const head = encode(description);
    await writeWhole(path, Buffer.concat([head, bits]));
    const file = await open(path, "r+").catch((error: unknown) => {
      throw writeError(error, path);
    });
    return new PartialState(path, file, head.length, bits);
  }

  /** Resolves when the piece's bit is written. Marks made meanwhile share the next write. */
  async mark(piece: number): Promise<void> {
    const at = piece >> 3;
    const [first, last] = this.#dirty ?? [at, at];
    this.#dirty = [Math.min(first, at), Math.max(last, at)];
    // One write at a time: a later one must not be overtaken by an earlier one of the same byte.
    while (this.#dirty !== undefined) {
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
      await this.#writing;
    }
    await this.#writing;
  }

  async #write(): Promise<void> {
    const [first, last] = this.#dirty ?? [0, -1];
    this.#dirty = undefined;
    const bytes = this.#bits.slice(first, last + 1);
    await writeAll(this.#file, bytes, this.#bitsOffset + first).catch(
      (error: unknown) => {
        throw writeError(error, this.path);
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

function encode(description: PartialDescription): Buffer {
  const { metadata, name, kind, manifest } = description;
  const { root, sizeBytes, pieceHashes } = metadata;
  const header = dagCbor.encode({
    root,
    sizeBytes,
    name,
    kind,
    ...(manifest !== undefined && { manifest }),
  });
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const head = Buffer.concat([MAGIC, length, header, pieceHashes]);
  return Buffer.concat([head, hash("sha256", head, "buffer")]);
}

function decode(
  bytes: Buffer,
): (PartialDescription & { marked: PieceSet }) | undefined {
  if (bytes.length < PREFIX_BYTES) return undefined;
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const headerBytes = bytes.readUInt32LE(MAGIC.length);
  if (headerBytes > MAX_HEADER_BYTES) return undefined;
  try {
    const hashesAt = PREFIX_BYTES + headerBytes;
    const { name, kind, manifest, root, sizeBytes } = headerSchema.parse(
      dagCbor.decode(bytes.subarray(PREFIX_BYTES, hashesAt)),
    );
    const count = pieceCount(sizeBytes);
    const sumAt = hashesAt + count * HASH_BYTES;
    const bitsAt = sumAt + HASH_BYTES;
    const sum = hash("sha256", bytes.subarray(0, sumAt), "buffer");
    if (!bytes.subarray(sumAt, bitsAt).equals(sum)) return undefined;
    const pieceHashes = new Uint8Array(bytes.subarray(hashesAt, sumAt));
    const metadata = { root, sizeBytes, pieceHashes };
    verifyPieceLayer(metadata);
    const marked = new PieceSet(count);
    const bits = bytes.subarray(bitsAt);
    for (let i = 0; i < count; i++) if (hasBit(bits, i)) marked.add(i);
    return { metadata, name, kind, manifest, marked };
  } catch {
    return undefined;
  }
}

function maxStateBytes(): number {
  const count = pieceCount(MAX_CONTENT_BYTES);
  return PREFIX_BYTES + MAX_HEADER_BYTES + (count + 1) * HASH_BYTES + count / 8;
}
