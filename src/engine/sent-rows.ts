/**
 * The activations that a session sent on, for all its positions, so that a stage that takes the next one's place can be fed again. In memory as
 * far as the process allows, then in a file without a name: nothing is left behind, however the process ends. Never changed once written,
 * so that a session which continues another one shares what that one had.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** Rows are gathered in blocks of about this size. */
const BLOCK_BYTES = 256 * 1024;

/** What all sessions of a process share. */
export class SentRowsMemory {
  readonly #mostBytes: number;
  readonly #folder: string | undefined;
  #bytes = 0;
  #files = 0;

  /** Without `folder` there is memory only. */
  constructor(mostBytes: number, folder?: string) {
    this.#mostBytes = mostBytes;
    this.#folder = folder;
  }

  /** Taken now. */
  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#bytes > this.#mostBytes;
  }

  take(bytes: number): void {
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** A new file without a name; undefined where there is no room for one. */
  file(): number | undefined {
    if (this.#folder === undefined) return undefined;
    const path = join(this.#folder, `sent.${process.pid}.${++this.#files}`);
    let fd: number | undefined;
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      fd = openSync(path, "wx+", 0o600);
      rmSync(path);
      return fd;
    } catch {
      // The folder is not ours, or the platform removes no open file.
      if (fd !== undefined) closeSync(fd);
      rmSync(path, { force: true });
      return undefined;
    }
  }
}

/** Shared by sessions that continue each other. */
class Blocks {
  readonly memory: SentRowsMemory;
  readonly #written: (Uint8Array | number)[] = [];
  #fd: number | undefined;
  #fileBytes = 0;
  #users = 1;

  constructor(memory: SentRowsMemory) {
    this.memory = memory;
  }

  get length(): number {
    return this.#written.length;
  }

  share(): this {
    this.#users++;
    return this;
  }

  /** False if there is no room. */
  add(bytes: Uint8Array): boolean {
    if (this.memory.isFull) {
      this.#fd ??= this.memory.file();
      if (this.#fd === undefined) return false;
      try {
        writeSync(this.#fd, bytes, 0, bytes.length, this.#fileBytes);
      } catch {
        return false; // the disk is full
      }
      this.#written.push(this.#fileBytes);
      this.#fileBytes += bytes.length;
      return true;
    }
    this.memory.take(bytes.length);
    this.#written.push(bytes.slice());
    return true;
  }

  read(block: number, at: number, into: Uint8Array): void {
    const there = this.#written[block];
    if (there instanceof Uint8Array)
      into.set(there.subarray(at, at + into.length));
    else if (there !== undefined && this.#fd !== undefined)
      readSync(this.#fd, into, 0, into.length, there + at);
  }

  release(): void {
    if (--this.#users > 0) return;
    for (const block of this.#written)
      if (block instanceof Uint8Array) this.memory.giveBack(block.length);
    this.#written.length = 0;
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

export class SentRows implements Disposable {
  readonly #rowBytes: number;
  readonly #blockRows: number;
  /** Whole blocks, some of which another session may have written. */
  readonly #blocks: Blocks;
  readonly #order: number[];
  /** The block that is being filled. */
  readonly #open: Uint8Array;
  #openRows = 0;
  #isBroken = false;

  constructor(memory: SentRowsMemory, rowBytes: number, before?: SentRows) {
    this.#rowBytes = rowBytes;
    this.#blockRows = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes));
    this.#open = new Uint8Array(this.#blockRows * rowBytes);
    this.#blocks =
      before === undefined ? new Blocks(memory) : before.#blocks.share();
    this.#order = before === undefined ? [] : [...before.#order];
    if (before === undefined) return;
    this.#open.set(before.#open);
    this.#openRows = before.#openRows;
    this.#isBroken = before.#isBroken;
  }

  /** Rows from position 0 on; 0 once one could not be kept. */
  get length(): number {
    return this.#isBroken
      ? 0
      : this.#order.length * this.#blockRows + this.#openRows;
  }

  /** The rows of the next positions, as they were sent. */
  add(rows: Uint8Array): void {
    for (let at = 0; at < rows.length && !this.#isBroken;) {
      const bytes = Math.min(
        rows.length - at,
        (this.#blockRows - this.#openRows) * this.#rowBytes,
      );
      const part = rows.subarray(at, at + bytes);
      this.#open.set(part, this.#openRows * this.#rowBytes);
      this.#openRows += bytes / this.#rowBytes;
      at += bytes;
      if (this.#openRows < this.#blockRows) continue;
      if (!this.#blocks.add(this.#open)) this.#isBroken = true;
      this.#order.push(this.#blocks.length - 1);
      this.#openRows = 0;
    }
  }

  /** Rows `from…` into `into`, whose length says how many. Throws RangeError past the end. */
  read(from: number, into: Uint8Array): void {
    const count = into.length / this.#rowBytes;
    if (from + count > this.length)
      throw new RangeError("rows that were not kept");
    for (let row = 0; row < count;) {
      const index = Math.floor((from + row) / this.#blockRows);
      const first = (from + row) % this.#blockRows;
      const rows = Math.min(count - row, this.#blockRows - first);
      const part = into.subarray(
        row * this.#rowBytes,
        (row + rows) * this.#rowBytes,
      );
      const at = first * this.#rowBytes;
      const block = this.#order[index];
      if (block === undefined)
        part.set(this.#open.subarray(at, at + part.length));
      else this.#blocks.read(block, at, part);
      row += rows;
    }
  }

  /** The first `length` rows, for a session that goes on from there. */
  upTo(length: number): SentRows {
    const copy = new SentRows(this.#blocks.memory, this.#rowBytes, this);
    copy.#cut(Math.min(length, this.length));
    return copy;
  }

  [Symbol.dispose](): void {
    this.#blocks.release();
  }

  #cut(length: number): void {
    const whole = Math.floor(length / this.#blockRows);
    const openRows = length % this.#blockRows;
    const block = this.#order[whole];
    if (block !== undefined) this.#blocks.read(block, 0, this.#open);
    this.#order.length = Math.min(this.#order.length, whole);
    this.#openRows = openRows;
  }
}
