/** Files that are read piece by piece: they stay open and are checked before each piece. */
import { type FileHandle, open } from "node:fs/promises";
import { readAll } from "../lib/index.ts";
import { type FileStamp, isSameFile, stampOf } from "./files.ts";

/** A node that shares hundreds of parts reads from a few files; more than these are closed and reopened. */
const MAX_OPEN_FILES = 64;

interface OpenFile {
  stamp: FileStamp;
  handle: Promise<FileHandle>;
  /** Running reads: it is closed after them. */
  users: number;
}

export class FileReaders {
  /** In the order of their last use. */
  #files = new Map<string, OpenFile>();

  /**
   * Reads exactly `into.length` bytes. False if the file is gone or differs from the stamp; `checked` holds the paths that were checked for
   * this piece.
   */
  async read(
    stamp: FileStamp,
    into: Uint8Array,
    offset: number,
    checked: Set<string>,
  ): Promise<boolean> {
    const { path } = stamp;
    if (!checked.has(path)) {
      if (!isSameFile(stamp, await stampOf(path))) {
        this.release(path);
        return false;
      }
      checked.add(path);
    }
    const file = this.#use(stamp);
    file.users++;
    try {
      const handle = await file.handle;
      return (await readAll(handle, into, offset)) === into.length;
    } catch {
      // Gone between check and opening, or a failing disk: it cannot be shared either way.
      this.release(path);
      return false;
    } finally {
      file.users--;
      if (file.users === 0 && this.#files.get(path) !== file) close(file);
    }
  }

  release(path: string): void {
    const file = this.#files.get(path);
    this.#files.delete(path);
    if (file?.users === 0) close(file);
  }

  close(): void {
    for (const path of this.#files.keys()) this.release(path);
  }

  #use(stamp: FileStamp): OpenFile {
    const { path } = stamp;
    let file = this.#files.get(path);
    if (file !== undefined && !isSameFile(stamp, file.stamp)) {
      this.release(path);
      file = undefined;
    }
    file ??= { stamp, handle: open(path, "r"), users: 0 };
    this.#files.delete(path);
    this.#files.set(path, file);
    for (const [oldest] of this.#files) {
      if (this.#files.size <= MAX_OPEN_FILES) break;
      this.release(oldest);
    }
    return file;
  }
}

/** The work is done: an error on closing changes nothing. */
function close(file: OpenFile): void {
  file.handle.then((handle) => handle.close()).catch(() => {});
}
