/**
 * The spare disk that a member offers: parts of models that it keeps for others, `<folder>/<manifest>/<part>`. What is used is what lies on
 * disk, whatever put it there, and what running downloads may yet take.
 */
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

/** Of a download that is not finished: beside its bytes, what is known of them. */
const UNFINISHED = /\.part(?:\.state)?$/;
/** Ids of parts and manifests, as names of files. */
const SAFE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export class SpareFolder {
  readonly directory: string;
  readonly limitBytes: number;
  /** By path: what a download may take. */
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

  /** Offered and not used; below 0 where less is offered than was. */
  async freeBytes(): Promise<number> {
    const used = new Map(this.#reserved);
    const onDisk = new Map<string, number>();
    for (const path of await this.#files()) {
      const size = await stat(path).then(
        (found) => found.size,
        () => 0,
      );
      const whose = path.replace(UNFINISHED, "");
      onDisk.set(whose, (onDisk.get(whose) ?? 0) + size);
    }
    for (const [path, bytes] of onDisk)
      used.set(path, Math.max(bytes, used.get(path) ?? 0));
    return [...used.values()].reduce((a, b) => a - b, this.limitBytes);
  }

  /** Parts of one model that are here, whole or not. */
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

  /** Room for a download: the function that gives it back, or undefined where there is none. */
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
    const path = this.pathOf(manifest, part);
    for (const suffix of ["", ".part", ".part.state"])
      await rm(`${path}${suffix}`, { force: true });
  }

  /** Models that no cluster here serves any more. Gives their ids. */
  async removeOthers(wanted: ReadonlySet<string>): Promise<string[]> {
    const others = (await namesIn(this.directory)).filter(
      (name) => !wanted.has(name),
    );
    for (const name of others)
      await rm(join(this.directory, name), { recursive: true, force: true });
    return others;
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

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch(() => []);
}
