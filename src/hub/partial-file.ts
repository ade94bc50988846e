/**
 * A file that is not complete yet, beside the name it will get. It survives its process: the next one goes on with it. A claim is a rename,
 * which only one process can win, so that two never write the same file:
 *
 *     NAME.shoal.incomplete                      left by a process that stopped
 *     NAME.HOST-PID-RANDOM.shoal.incomplete      being written by that process, which touches it every few seconds
 *     NAME                                       complete and verified
 *
 * The names are Shoal's own: huggingface_hub's `NAME.incomplete` may have a writer that does not know of claims.
 */
import { createHash, randomBytes, type Hash } from "node:crypto";
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  rename,
  stat,
  unlink,
  utimes,
} from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import {
  type EventSink,
  readAll,
  reasonOf,
  ShoalError,
  sleep,
  writeAll,
  writeError,
} from "../lib/index.ts";
import type { Limits } from "./defaults.ts";
import { type Digest, hashFor } from "./digest.ts";

export interface PartialFileOptions {
  /** The name it gets when it is complete. */
  target: string;
  /** Of the complete file. */
  sizeBytes: number;
  algorithm: Digest["algorithm"];
  limits: Limits;
  events: EventSink;
  signal: AbortSignal;
}

const SUFFIX = ".shoal.incomplete";
const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
/** Tells this process from an earlier one with the same id. */
const RANDOM = randomBytes(4).toString("hex");
const COPY_BYTES = 4 * 1024 * 1024;

export class PartialFile {
  readonly #options: PartialFileOptions;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #heartbeat: NodeJS.Timeout;
  #hash: Hash;
  #doneBytes = 0;
  #isOpen = true;

  /** Waits while another process fetches the same file. Undefined once somebody has completed it. */
  static async claim(
    options: PartialFileOptions,
  ): Promise<PartialFile | undefined> {
    const { target, limits, signal, events } = options;
    const mine = `${target}.${HOST}-${process.pid}-${RANDOM}${SUFFIX}`;
    await mkdir(dirname(target), { recursive: true });
    for (let waits = 0; ; waits++) {
      if (await isComplete(options)) return undefined;
      const { free, taken } = await claimsOn(options);
      if (await claimFirst(free, mine)) break;
      if (taken === 0 && (await createAlone(mine, options))) break;
      if (waits === 0)
        events.info(
          "HUB",
          `${basename(target)}: another process is fetching it; waiting for it`,
        );
      // Not all at once, or those who made way for each other would meet again.
      await sleep(limits.waitMs * (0.5 + Math.random()), signal);
    }
    const handle = await open(mine, "r+");
    const file = new PartialFile(options, mine, handle);
    try {
      await file.#load();
      return file;
    } catch (error) {
      await file.release();
      throw error;
    }
  }

  /** Bytes that are kept of it, by whomever. */
  static async keptBytes(
    options: Pick<PartialFileOptions, "target" | "limits">,
  ): Promise<number> {
    const { free } = await claimsOn(options);
    return free[0]?.sizeBytes ?? 0;
  }

  private constructor(
    options: PartialFileOptions,
    path: string,
    handle: FileHandle,
  ) {
    this.#options = options;
    this.#path = path;
    this.#handle = handle;
    this.#hash = hashFor(options.algorithm, options.sizeBytes);
    this.#heartbeat = setInterval(() => {
      const now = new Date();
      this.#handle.utimes(now, now).catch(() => {});
    }, options.limits.heartbeatMs).unref();
  }

  /** In the file so far. */
  get doneBytes(): number {
    return this.#doneBytes;
  }

  async append(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#handle, bytes, this.#doneBytes);
    } catch (error) {
      throw writeError(error, this.#path);
    }
    this.#hash.update(bytes);
    this.#doneBytes += bytes.length;
  }

  /** Starts again from nothing. */
  async reset(): Promise<void> {
    const { algorithm, sizeBytes } = this.#options;
    await this.#handle.truncate(0);
    this.#hash = hashFor(algorithm, sizeBytes);
    this.#doneBytes = 0;
  }

  /** Of all bytes so far. */
  digest(): string {
    return this.#hash.copy().digest("hex");
  }

  /** Gives it its name. */
  async complete(): Promise<void> {
    const { target } = this.#options;
    // Sync before the rename; otherwise a crash can leave the name on an empty file.
    await this.#handle.datasync();
    await this.#close();
    try {
      await rename(this.#path, target);
    } catch (error) {
      // While this process was suspended, another one may have taken it over.
      if (!(await isComplete(this.#options))) throw writeError(error, target);
    }
  }

  /** Keeps it for the next process. Without effect after `complete` or `discard`. */
  async release(): Promise<void> {
    if (!this.#isOpen) return;
    const isEmpty = this.#doneBytes === 0;
    await this.#close();
    const free = `${this.#options.target}${SUFFIX}`;
    await (isEmpty ? unlink(this.#path) : rename(this.#path, free)).catch(
      () => {},
    );
  }

  async discard(): Promise<void> {
    if (!this.#isOpen) return;
    await this.#close();
    await unlink(this.#path).catch(() => {});
  }

  async #close(): Promise<void> {
    this.#isOpen = false;
    clearInterval(this.#heartbeat);
    await this.#handle.close();
  }

  /** Hashes what is there. */
  async #load(): Promise<void> {
    const { sizeBytes, signal } = this.#options;
    const { size } = await this.#handle.stat();
    if (size > sizeBytes) return await this.reset();
    const buffer = new Uint8Array(Math.min(COPY_BYTES, size));
    while (this.#doneBytes < size) {
      if (signal.aborted) {
        // Nothing was lost: `release` keeps a file that has bytes.
        this.#doneBytes = size;
        throw reasonOf(signal);
      }
      const want = Math.min(buffer.length, size - this.#doneBytes);
      const bytes = buffer.subarray(0, want);
      if ((await readAll(this.#handle, bytes, this.#doneBytes)) < want)
        throw new ShoalError(
          "FILE_UNREADABLE",
          `${this.#path} ends early: another program cut it`,
          { path: this.#path },
        );
      this.#hash.update(bytes);
      this.#doneBytes += want;
    }
  }
}

async function isComplete({
  target,
  sizeBytes,
}: PartialFileOptions): Promise<boolean> {
  const found = await stat(target).catch(() => undefined);
  return found?.isFile() === true && found.size === sizeBytes;
}

interface Claim {
  path: string;
  sizeBytes: number;
}

/** Files that nobody writes, the largest first, and how many somebody does. */
async function claimsOn({
  target,
  limits,
}: Pick<PartialFileOptions, "target" | "limits">): Promise<{
  free: Claim[];
  taken: number;
}> {
  const folder = dirname(target);
  const prefix = `${basename(target)}.`;
  const names = await readdir(folder).catch(() => []);
  const free: Claim[] = [];
  let taken = 0;
  for (const name of names) {
    if (!name.startsWith(prefix) || !name.endsWith(SUFFIX)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) {
      taken++; // renamed at this moment: look again
      continue;
    }
    const owner = name.slice(prefix.length, -SUFFIX.length);
    const isOld =
      Date.now() - found.mtimeMs > limits.abandonedMs &&
      owner !== `${HOST}-${process.pid}-${RANDOM}`;
    if (isOld || isGone(owner)) free.push({ path, sizeBytes: found.size });
    else taken++;
  }
  free.sort((a, b) => b.sizeBytes - a.sizeBytes);
  return { free, taken };
}

/** Whether the process that a claim names is known to be over. */
function isGone(owner: string): boolean {
  const [host, pid, random] = owner.split("-");
  if (pid === undefined) return true; // left behind
  if (host !== HOST) return false; // a disk of several machines: time will tell
  if (Number(pid) === process.pid) return random !== RANDOM;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

async function claimFirst(
  free: readonly Claim[],
  mine: string,
): Promise<boolean> {
  for (const { path } of free) {
    try {
      // First, or a third process would take it for abandoned.
      await utimes(path, new Date(), new Date());
      await rename(path, mine);
      return true;
    } catch {
      // Another process was quicker.
    }
  }
  return false;
}

/** False if another process did the same at this moment: then this one makes way. */
async function createAlone(
  mine: string,
  options: PartialFileOptions,
): Promise<boolean> {
  try {
    await (await open(mine, "wx")).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw writeError(error, mine);
  }
  const { taken } = await claimsOn(options);
  if (taken <= 1) return true;
  await unlink(mine).catch(() => {});
  return false;
}
