/**
 * The disk that a member lends: parts of models that it keeps for others, `<folder>/<manifest>/<part>`. Used is everything on disk in that
 * folder, and what running downloads will still take.
 */
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  type EventSink,
  formatBytes,
  ShoalError,
  removeTree,
} from "../lib/index.ts";

/** Extensions of an unfinished download: its bytes and their state. */
const UNFINISHED = /\.part(?:\.state(?:\.[0-9a-f]+\.tmp)?)?$/;
/** Ids of parts and manifests, as names of files. */
const SAFE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** A node learns within seconds what is rare, unless it must download its shard first or nobody answers. */
const CHOOSE_MS = 30_000;

export class SpareFolder {
  readonly directory: string;
  readonly limitBytes: number;
  /** Reservations of downloads, by path. */
  readonly #reserved = new Map<string, number>();
  /** One is reserved after the other: two that fit each alone may not fit together. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(directory: string, limitBytes: number) {
    this.directory = directory;
    this.limitBytes = limitBytes;
  }

  static isSafe(name: string): boolean {
    return SAFE.test(name) && !UNFINISHED.test(name);
  }

  pathOf(manifest: string, part: string): string {
    return join(this.directory, manifest, part);
  }

  /** Offered and unused bytes; below 0 if the limit was lowered. */
  async freeBytes(): Promise<number> {
    const used = new Map(this.#reserved);
    for (const [path, { bytes }] of await this.#onDisk())
      used.set(path, Math.max(bytes, used.get(path) ?? 0));
    return [...used.values()].reduce((a, b) => a - b, this.limitBytes);
  }

  /**
   * Deletes what exceeds the limit: unfinished downloads, then the largest parts. Returns their bytes. A member that knows which parts
   * are rare makes room before this (spare-copies.ts).
   */
  async shrink(): Promise<number> {
    const shrunk = this.#last.then(async () => {
      let given = 0;
      const byWorth = [...(await this.#onDisk())].toSorted(
        ([, a], [, b]) =>
          Number(a.isWhole) - Number(b.isWhole) || b.bytes - a.bytes,
      );
      for (const [path, { bytes }] of byWorth) {
        if ((await this.freeBytes()) >= 0) break;
        if (this.#reserved.has(path)) continue;
        await removeAll(path);
        given += bytes;
      }
      if (this.limitBytes === 0) await this.removeOthers(new Set());
      return given;
    });
    this.#last = shrunk.catch(() => {});
    return await shrunk;
  }

  /** Parts of one model that are here, complete or not. */
  async parts(manifest: string): Promise<Map<string, { isWhole: boolean }>> {
    const names = await namesIn(join(this.directory, manifest));
    const parts = new Map<string, { isWhole: boolean }>();
    for (const name of names) {
      const part = name.replace(UNFINISHED, "");
      const isWhole = part === name || parts.get(part)?.isWhole === true;
      parts.set(part, { isWhole });
    }
    return parts;
  }

  /** Reserves room for a download: returns the function that releases it, or undefined if there is none. */
  async reserve(
    manifest: string,
    part: string,
    bytes: number,
  ): Promise<(() => void) | undefined> {
    const path = this.pathOf(manifest, part);
    const reserved = this.#last.then(async () => {
      this.#reserved.set(path, bytes);
      if ((await this.freeBytes()) >= 0) return true;
      this.#reserved.delete(path);
      return false;
    });
    this.#last = reserved.catch(() => {});
    if (!(await reserved)) return undefined;
    await mkdir(join(this.directory, manifest), { recursive: true });
    return () => this.#reserved.delete(path);
  }

  async remove(manifest: string, part: string): Promise<void> {
    await removeAll(this.pathOf(manifest, part));
  }

  /** Deletes models that no cluster here serves any more. Returns their ids. */
  async removeOthers(wanted: ReadonlySet<string>): Promise<string[]> {
    const others = (await namesIn(this.directory)).filter(
      (name) => !wanted.has(name),
    );
    for (const name of others) await removeTree(join(this.directory, name));
    return others;
  }

  /** By the path of the whole. */
  async #onDisk(): Promise<Map<string, { bytes: number; isWhole: boolean }>> {
    const found = new Map<string, { bytes: number; isWhole: boolean }>();
    for (const path of await this.#files()) {
      const size = await stat(path).then(
        (file) => file.size,
        () => 0,
      );
      const whose = path.replace(UNFINISHED, "");
      const { bytes = 0, isWhole = false } = found.get(whose) ?? {};
      found.set(whose, {
        bytes: bytes + size,
        isWhole: isWhole || whose === path,
      });
    }
    return found;
  }

  async #files(): Promise<string[]> {
    const entries = await readdir(this.directory, {
      recursive: true,
      withFileTypes: true,
    }).catch(() => []);
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  }
}

/**
 * Keeps a folder within the current offer. Without an offer everything is deleted at once. After a lower limit there is time to choose by
 * rarity, then `shrink` decides. Returns the function that ends the waiting.
 */
export function keepToOffer(
  spare: SpareFolder,
  events: EventSink,
  afterMs: number = CHOOSE_MS,
): () => void {
  const shrink = async (): Promise<void> => {
    try {
      const given = await spare.shrink();
      if (given === 0) return;
      const offered = formatBytes(spare.limitBytes);
      events.info(
        "TORRENT",
        `freed ${formatBytes(given)} of spare disk; the limit is now ${offered}`,
        { path: spare.directory },
      );
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      events.warn("TORRENT", `could not free spare disk: ${message}`, {
        code,
        path: spare.directory,
      });
    }
  };
  const delayMs = spare.limitBytes === 0 ? 0 : afterMs;
  const timer = setTimeout(() => void shrink(), delayMs);
  return () => clearTimeout(timer);
}

/** The whole, and what is left of its download. */
async function removeAll(path: string): Promise<void> {
  const folder = dirname(path);
  for (const name of await namesIn(folder))
    if (name.replace(UNFINISHED, "") === basename(path))
      await rm(join(folder, name), { force: true });
}

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch(() => []);
}
