/**
 * A cache of roots and piece hashes by path, size, time of change and byte range, in one file:
 *
 *     "SHOALHC1"  sha256 of what follows  dag-cbor [[key, size, root, piece hashes] …], the least recently used first
 *
 * An unreadable file counts as empty: everything is hashed again.
 */
import { hash } from "node:crypto";
import { mkdir, readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import * as dagCbor from "@ipld/dag-cbor";
import { z } from "zod";
import { HASH_BYTES, toRoot, verifyPieceLayer } from "./piece-tree.ts";
import { type FileStamp, writeWhole } from "./files.ts";
import type { FileRange } from "../gguf/index.ts";
import type { ContentMetadata } from "./types.ts";

const MAGIC = Buffer.from("SHOALHC1", "latin1");
const HEADER_BYTES = MAGIC.length + HASH_BYTES;
/** Piece hashes of 2 TiB. The whole file is read and written at once. */
const MAX_CACHE_BYTES = 64 * 1024 * 1024;
/** Of an entry beside its piece hashes. */
const ENTRY_BYTES = 96;

const entrySchema = z.tuple([
  z.instanceof(Uint8Array),
  z.int().min(1),
  z.instanceof(Uint8Array),
  z.instanceof(Uint8Array),
]);

export class HashCache {
  #path: string;
  #maxBytes: number;
  /** In the order of their last use. */
  #entries = new Map<string, ContentMetadata>();
  #sizeBytes = 0;
  #isDirty = false;
  #saving: Promise<void> = Promise.resolve();

  constructor(path: string, { maxBytes = MAX_CACHE_BYTES } = {}) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  async load(): Promise<void> {
    const found = await stat(this.#path).catch(() => undefined);
    if (found === undefined || found.size > 2 * this.#maxBytes) return;
    const bytes = await readFile(this.#path).catch(() => Buffer.alloc(0));
    for (const [key, metadata] of decode(bytes)) this.#add(key, metadata);
  }

  /** `stamps`: the current stamps of the files with the ranges. */
  get(
    ranges: readonly FileRange[],
    stamps: ReadonlyMap<string, FileStamp>,
  ): ContentMetadata | undefined {
    const key = keyOf(ranges, stamps);
    const metadata = this.#entries.get(key);
    if (metadata === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, metadata);
    return metadata;
  }

  set(
    ranges: readonly FileRange[],
    stamps: ReadonlyMap<string, FileStamp>,
    metadata: ContentMetadata,
  ): void {
    this.#add(keyOf(ranges, stamps), metadata);
    this.#isDirty = true;
  }

  /** Writes new entries, one write after the other. */
  save(): Promise<void> {
    const saved = this.#saving.then(() => this.#save());
    this.#saving = saved.catch(() => {});
    return saved;
  }

  async #save(): Promise<void> {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      await writeWhole(this.#path, encode(this.#entries));
    } catch (error) {
      this.#isDirty = true;
      throw error;
    }
  }

  #add(key: string, metadata: ContentMetadata): void {
    const before = this.#entries.get(key);
    if (before !== undefined) this.#sizeBytes -= sizeOf(before);
    this.#entries.delete(key);
    this.#entries.set(key, metadata);
    this.#sizeBytes += sizeOf(metadata);
    for (const [oldKey, old] of this.#entries) {
      if (this.#sizeBytes <= this.#maxBytes) break;
      this.#entries.delete(oldKey);
      this.#sizeBytes -= sizeOf(old);
    }
  }
}

function sizeOf({ pieceHashes }: ContentMetadata): number {
  return pieceHashes.length + ENTRY_BYTES;
}

function keyOf(
  ranges: readonly FileRange[],
  stamps: ReadonlyMap<string, FileStamp>,
): string {
  const text = JSON.stringify(
    ranges.map(({ path, offset, sizeBytes }) => {
      const stamp = stamps.get(path);
      return [path, stamp?.sizeBytes, stamp?.mtimeNs, offset, sizeBytes];
    }),
  );
  return hash("sha256", text, "hex");
}

function encode(entries: ReadonlyMap<string, ContentMetadata>): Uint8Array {
  const body = dagCbor.encode(
    [...entries].map(([key, { sizeBytes, root, pieceHashes }]) => [
      Buffer.from(key, "hex"),
      sizeBytes,
      Buffer.from(root, "hex"),
      pieceHashes,
    ]),
  );
  return Buffer.concat([MAGIC, hash("sha256", body, "buffer"), body]);
}

function decode(bytes: Buffer): [string, ContentMetadata][] {
  const body = bytes.subarray(HEADER_BYTES);
  const reuseLocal =
    bytes.subarray(0, MAGIC.length).equals(MAGIC) &&
    bytes
      .subarray(MAGIC.length, HEADER_BYTES)
      .equals(hash("sha256", body, "buffer"));
  if (!reuseLocal) return [];
  try {
    return z
      .array(entrySchema)
      .parse(dagCbor.decode(body))
      .map(([key, sizeBytes, root, pieceHashes]) => {
        // Copied: a view would keep the whole file in memory.
        const metadata = {
          root: toRoot(root),
          sizeBytes,
          pieceHashes: new Uint8Array(pieceHashes),
        };
        verifyPieceLayer(metadata);
        return [toRoot(key), metadata];
      });
  } catch {
    return [];
  }
}
