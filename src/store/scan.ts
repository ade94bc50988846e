/** Finds files, and whether they are at rest. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { STATE_SUFFIX } from "./partial.ts";
import { type FileStamp, isSameFile, stampOf } from "./files.ts";

/** Models are in `publisher/name/` at most; a home folder given by mistake must not be scanned completely. */
const MAX_DEPTH = 4;
const MAX_FILES = 20_000;
/** Still being written, by us or by others. */
const UNFINISHED =
  /\.(?:part|tmp|temp|partial|incomplete|download|crdownload|aria2|state)$/i;

/** Ignored, and no reason to check again: a download writes a thousand times a second. */
export function isUnfinished(name: string): boolean {
  return name.startsWith(".") || UNFINISHED.test(name);
}

export interface Listing {
  files: string[];
  /** To be watched. */
  folders: string[];
  /** Of downloads that are not finished. */
  states: string[];
  /** There was more than is scanned. */
  isCut: boolean;
}

/**
 * Those among `directories`, and those in the others: regular files and links to them, but none there that begins with a dot or is still
 * being written.
 */
export async function listFiles(
  directories: readonly string[],
): Promise<Listing> {
  const listing: Listing = {
    files: [],
    folders: [],
    states: [],
    isCut: false,
  };
  for (const directory of directories)
    if ((await stampOf(directory)) === undefined)
      await walk(directory, 0, listing);
    else listing.files.push(directory);
  return listing;
}

async function walk(
  folder: string,
  depth: number,
  listing: Listing,
): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(
    () => undefined,
  );
  if (entries === undefined) return;
  listing.folders.push(folder);
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (depth < MAX_DEPTH) await walk(path, depth + 1, listing);
      else listing.isCut = true;
    } else if (listing.files.length >= MAX_FILES) {
      listing.isCut = true;
    } else if (entry.name.endsWith(STATE_SUFFIX)) {
      listing.states.push(path);
    } else if (!isUnfinished(entry.name)) {
      listing.files.push(path);
    }
  }
}

/** Recognizes files that are still being written by their changes. */
export class Settling {
  #settleMs: number;
  #now: () => number;
  #seen = new Map<string, { stamp: FileStamp; sinceMs: number }>();

  constructor(settleMs: number, now: () => number) {
    this.#settleMs = settleMs;
    this.#now = now;
  }

  /** Stamps of those that have not changed for `settleMs`, and whether there are others. */
  async look(
    paths: readonly string[],
  ): Promise<{ settled: Map<string, FileStamp>; isWaiting: boolean }> {
    const settled = new Map<string, FileStamp>();
    const seen = new Map<string, { stamp: FileStamp; sinceMs: number }>();
    let isWaiting = false;
    for (const path of paths) {
      const stamp = await stampOf(path);
      if (stamp === undefined || stamp.sizeBytes === 0) continue;
      const before = this.#seen.get(path);
      const sinceMs =
        before !== undefined && isSameFile(stamp, before.stamp)
          ? before.sinceMs
          : this.#changedMs(stamp);
      seen.set(path, { stamp, sinceMs });
      if (this.#now() - sinceMs >= this.#settleMs) settled.set(path, stamp);
      else isWaiting = true;
    }
    this.#seen = seen;
    return { settled, isWaiting };
  }

  /** If the file's clock is ahead of ours, the time of the check counts. */
  #changedMs(stamp: FileStamp): number {
    return Math.min(Number(BigInt(stamp.mtimeNs) / 1_000_000n), this.#now());
  }
}
