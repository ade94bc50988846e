/**
 * Sessions that ended, as files: what llama.cpp writes of a sequence, and beside it the tokens that it stands for. Last used goes first when all
 * stages of the node together have more than they may. A file is named only when it is whole; one of an earlier process is read once before it
 * is trusted.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { z } from "zod";
import type { KeptTokens } from "./prefix-rules.ts";

const STATE = ".kv";
const FACTS = ".json";
const TEMPORARY = ".tmp";
const READ_BYTES = 1 << 20;

export const KeptFacts = z.object({
  version: z.literal(1),
  promptTokens: z.number().int().min(1).max(0x7fffffff),
  earliest: z.number().int().min(0).max(0x7fffffff),
  /** i32 little-endian, base64. */
  tokens: z.base64(),
  bytes: z.number().int().min(1),
  crc32: z.number().int().min(0).max(0xffffffff),
  owner: z.string().max(128).optional(),
});
/** What lies beside a state. */
export type KeptFacts = z.infer<typeof KeptFacts>;

/** Where a stage's files lie, and how much all stages together may have. */
export interface KeptPlace {
  folder: string;
  bytes: number;
}

export interface KeptFile extends KeptTokens {
  path: string;
  bytes: number;
  /** Undefined: written by this process. */
  crc32: number | undefined;
}

export class KeptFiles {
  readonly #folder: string;
  readonly #mostBytes: number;

  /** `folder` is one stage's; those beside it are other stages'. */
  constructor(folder: string, mostBytes: number) {
    this.#folder = folder;
    this.#mostBytes = mostBytes;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** What an earlier process left, the oldest first; what is not whole is removed. */
  open(): KeptFile[] {
    const found: { file: KeptFile; usedMs: number }[] = [];
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      if (name.endsWith(STATE)) {
        const file = factsOf(path);
        if (file !== undefined)
          found.push({ file, usedMs: statSync(path).mtimeMs });
        else remove(path);
      } else if (!name.endsWith(FACTS)) rmSync(path, { force: true });
    }
    found.sort((a, b) => a.usedMs - b.usedMs);
    return found.map(({ file }) => file);
  }

  get place(): KeptPlace {
    return { folder: this.#folder, bytes: this.#mostBytes };
  }

  /** `write` writes the state, `bytes` long, to a path. Undefined if it could not, or if it is more than may be kept. */
  add(
    { tokens, promptTokens, earliest, owner }: KeptTokens,
    bytes: number,
    write: (path: string) => boolean,
  ): KeptFile | undefined {
    if (bytes > this.#mostBytes) return undefined;
    const temporary = keptPath(this.#folder);
    try {
      if (!write(temporary)) throw new RangeError("no room");
      return this.adopt(temporary, {
        version: 1,
        promptTokens,
        earliest,
        tokens: Buffer.from(
          tokens.buffer,
          tokens.byteOffset,
          tokens.byteLength,
        ).toString("base64"),
        bytes,
        crc32: checksum(temporary),
        ...(owner !== undefined && { owner }),
      });
    } catch {
      // The disk is full, or the folder is not ours: it is computed again.
      rmSync(temporary, { force: true });
      return undefined;
    }
  }

  /** Gives a state its name, which was written to a path of `keptPath` and found to be as `facts` say. Throws where it is not there. */
  adopt(temporary: string, facts: KeptFacts): KeptFile {
    const path = temporary.slice(0, -TEMPORARY.length);
    try {
      writeFileSync(factsPath(path), JSON.stringify(facts), { mode: 0o600 });
      renameSync(temporary, path);
      const file = factsOf(path);
      if (file === undefined) throw new RangeError("not what its facts say");
      this.#makeRoom();
      return { ...file, crc32: undefined };
    } catch (error) {
      remove(path);
      throw error;
    }
  }

  /** Whether it is still there and whole; then it counts as used now. */
  use(file: KeptFile): boolean {
    try {
      if (file.crc32 !== undefined && checksum(file.path) !== file.crc32)
        throw new RangeError("damaged");
      file.crc32 = undefined;
      const now = new Date();
      utimesSync(file.path, now, now);
      return true;
    } catch {
      remove(file.path);
      return false;
    }
  }

  remove(file: KeptFile): void {
    remove(file.path);
  }

  #makeRoom(): void {
    const root = dirname(this.#folder);
    const files = readdirSync(root).flatMap((folder) => states(root, folder));
    files.sort((a, b) => a.usedMs - b.usedMs);
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of files) {
      if (bytes <= this.#mostBytes) return;
      remove(file.path);
      bytes -= file.bytes;
      removeIfEmpty(dirname(file.path));
    }
  }
}

function states(
  root: string,
  folder: string,
): { path: string; bytes: number; usedMs: number }[] {
  try {
    return readdirSync(join(root, folder))
      .filter((name) => name.endsWith(STATE))
      .map((name) => {
        const path = join(root, folder, name);
        const { size, mtimeMs } = statSync(path);
        return { path, bytes: size, usedMs: mtimeMs };
      });
  } catch {
    return []; // another engine removed it meanwhile
  }
}

function factsOf(path: string): KeptFile | undefined {
  try {
    const text = readFileSync(factsPath(path), "utf8");
    const facts = KeptFacts.parse(JSON.parse(text));
    const tokens = tokensOf(facts);
    if (statSync(path).size !== facts.bytes || tokens === undefined)
      return undefined;
    return { ...facts, path, tokens };
  } catch {
    return undefined;
  }
}

/** Undefined if they are no tokens. */
export function tokensOf({ tokens }: KeptFacts): Int32Array | undefined {
  const bytes = Buffer.from(tokens, "base64");
  if (bytes.length % 4 !== 0) return undefined;
  return new Int32Array(new Uint8Array(bytes).buffer);
}

/** For a state that is being written into a stage's folder; whoever opens the folder removes it. */
export function keptPath(folder: string): string {
  const name = `${randomBytes(8).toString("hex")}${STATE}${TEMPORARY}`;
  return join(folder, name);
}

export function factsPath(path: string): string {
  return `${path}${FACTS}`;
}

function remove(path: string): void {
  rmSync(path, { force: true });
  rmSync(factsPath(path), { force: true });
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It has others, or is in use.
  }
}

export function checksum(path: string): number {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const fd = openSync(path, "r");
  try {
    let sum = 0;
    for (let read; (read = readSync(fd, buffer)) > 0;)
      sum = crc32(buffer.subarray(0, read), sum);
    return sum;
  } finally {
    closeSync(fd);
  }
}
