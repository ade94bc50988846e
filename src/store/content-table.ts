/**
 * Which contents are here and where their bytes are. One content may be in several places (two names of a file, an original and a shard of
 * it). Each of them can give a piece; if one turns out to have changed, the next is used.
 */
import { ShoalError } from "../lib/index.ts";
import { FileReaders } from "./file-readers.ts";
import { PieceSet } from "./piece-set.ts";
import { pieceCount, pieceSize } from "./piece-tree.ts";
import type { FileStamp } from "./files.ts";
import type { FileRange } from "../gguf/index.ts";
import {
  type Content,
  type ContentKind,
  type ContentMetadata,
  PIECE_BYTES,
  type Root,
} from "./types.ts";

/** A place with a whole content. */
export interface ContentPlace {
  kind: ContentKind;
  name: string;
  manifest?: string | undefined;
  ranges: readonly FileRange[];
  /** Stamps of the files with the ranges, as they were when hashed. */
  stamps: ReadonlyMap<string, FileStamp>;
}

interface Entry {
  metadata: ContentMetadata;
  have: Uint8Array;
  /** By their ranges. */
  places: Map<string, ContentPlace>;
}

/** A manifest's description of a content outweighs a file's name. */
const KIND_ORDER: readonly ContentKind[] = ["part", "shard", "file"];

export class ContentTable {
  #entries = new Map<Root, Entry>();
  /** Keys of all places. */
  #keys = new Set<string>();
  #readers = new FileReaders();
  #isPrimary: (path: string) => boolean;

  /** `isPrimary`: whether a file is this node's own shard. */
  constructor(isPrimary: (path: string) => boolean) {
    this.#isPrimary = isPrimary;
  }

  /** Whether some content lies in exactly these ranges. */
  hasPlace(ranges: readonly FileRange[]): boolean {
    return this.#keys.has(placeKey(ranges));
  }

  add(metadata: ContentMetadata, place: ContentPlace): void {
    const { root, sizeBytes } = metadata;
    const entry = this.#entries.get(root) ?? {
      metadata,
      have: PieceSet.full(pieceCount(sizeBytes)).bits,
      places: new Map<string, ContentPlace>(),
    };
    this.#entries.set(root, entry);
    const key = placeKey(place.ranges);
    this.#keys.add(key);
    entry.places.set(key, place);
  }

  /** Removes the places that `keep` rejects; returns the contents that lost their last place. */
  retain(keep: (place: ContentPlace) => boolean): Content[] {
    const gone: Content[] = [];
    for (const [root, entry] of this.#entries) {
      const before = this.#contentOf(entry);
      for (const [key, place] of entry.places) {
        if (keep(place)) continue;
        entry.places.delete(key);
        this.#keys.delete(key);
        for (const path of place.stamps.keys()) this.#readers.release(path);
      }
      if (entry.places.size > 0) continue;
      this.#entries.delete(root);
      gone.push(before);
    }
    return gone;
  }

  /** Stamps of the files with contents. */
  stamps(): FileStamp[] {
    const all = new Map<string, FileStamp>();
    for (const { places } of this.#entries.values())
      for (const { stamps } of places.values())
        for (const stamp of stamps.values()) all.set(stamp.path, stamp);
    return [...all.values()];
  }

  list(): Content[] {
    return [...this.#entries.values()].map((entry) => this.#contentOf(entry));
  }

  has(root: Root): boolean {
    return this.#entries.has(root);
  }

  get(root: Root): Content | undefined {
    const entry = this.#entries.get(root);
    return entry && this.#contentOf(entry);
  }

  /**
   * A piece from the first unchanged place. `onChanged` is called for each changed file, whose places are then removed. Throws
   * CONTENT_UNKNOWN, CONTENT_CHANGED.
   */
  async readPiece(
    root: Root,
    index: number,
    onChanged: (path: string, kind: ContentKind) => Promise<void>,
  ): Promise<Uint8Array> {
    const entry = this.#entries.get(root);
    if (entry === undefined) {
      throw new ShoalError("CONTENT_UNKNOWN", `content ${root} is not here`, {
        root,
      });
    }
    const { sizeBytes } = entry.metadata;
    if (!(
      Number.isInteger(index) &&
      index >= 0 &&
      index * PIECE_BYTES < sizeBytes
    )) {
      throw new ShoalError(
        "PIECE_MISSING",
        `content ${root} has ${pieceCount(sizeBytes)} pieces, not a piece ${index}`,
        { root, piece: index },
      );
    }
    let changed = "";
    for (const place of entry.places.values()) {
      const bytes = Buffer.allocUnsafeSlow(pieceSize(sizeBytes, index));
      const failed = await this.#fill(bytes, place, index * PIECE_BYTES);
      if (failed === undefined) return bytes;
      changed = failed;
      this.retain((other) => !other.stamps.has(failed));
      await onChanged(failed, place.kind);
    }
    throw new ShoalError(
      "CONTENT_CHANGED",
      `${changed} changed since it was hashed`,
      { root, path: changed },
    );
  }

  close(): void {
    this.#readers.close();
  }

  /** Fills `bytes` from `position` of the content on. Returns the changed file, if there is one. */
  async #fill(
    bytes: Uint8Array,
    place: ContentPlace,
    position: number,
  ): Promise<string | undefined> {
    const checked = new Set<string>();
    let start = 0;
    for (const range of place.ranges) {
      const from = Math.max(start, position);
      const to = Math.min(start + range.sizeBytes, position + bytes.length);
      const into = bytes.subarray(
        Math.max(0, from - position),
        Math.max(0, to - position),
      );
      if (range.path === "") into.fill(0);
      else if (into.length > 0) {
        const stamp = place.stamps.get(range.path);
        const isThere =
          stamp !== undefined &&
          (await this.#readers.read(
            stamp,
            into,
            range.offset + from - start,
            checked,
          ));
        if (!isThere) return range.path;
      }
      start += range.sizeBytes;
      if (start >= position + bytes.length) break;
    }
    return undefined;
  }

  #contentOf({ metadata, have, places }: Entry): Content {
    const all = [...places.values()];
    const [best] = all.toSorted(
      (a, b) => KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind),
    );
    if (best === undefined) throw new RangeError("a content without a place");
    const { kind, name, ranges } = best;
    const manifest = all.find((p) => p.manifest !== undefined)?.manifest;
    const primary = all.some(({ stamps }) =>
      [...stamps.keys()].some((path) => this.#isPrimary(path)),
    );
    return { metadata, kind, name, manifest, ranges, primary, have };
  }
}

function placeKey(ranges: readonly FileRange[]): string {
  return ranges
    .map(({ path, offset, sizeBytes }) => `${path}\0${offset}\0${sizeBytes}`)
    .join("\0");
}
