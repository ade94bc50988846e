/** Files on disk, with errors that name the file and the reason. */
import { open, stat, type FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { readAll, readError, ShoalError } from "../lib/index.ts";

/** Opens a regular file to read. A pipe or device is refused before it is opened, because opening one can block for ever. */
export async function openFile(
  path: string,
): Promise<{ handle: FileHandle; sizeBytes: number }> {
  let handle: FileHandle | undefined;
  try {
    if (!(await stat(path)).isFile()) {
      throw new ShoalError("FILE_UNREADABLE", `${path} is not a file`, {
        path,
      });
    }
    handle = await open(path, "r");
    return { handle, sizeBytes: (await handle.stat()).size };
  } catch (error) {
    await handle?.close();
    throw readError(error, path);
  }
}

/** Reads exactly `into.length` bytes at `offset`. */
export async function readExactly(
  handle: FileHandle,
  path: string,
  into: Uint8Array,
  offset: number,
): Promise<void> {
  const done = await readAll(handle, into, offset).catch((error: unknown) => {
    throw readError(error, path);
  });
  if (done === into.length) return;
  throw new ShoalError(
    "GGUF_TRUNCATED",
    `${basename(path)}: the file ends at byte ${offset + done}, ${into.length - done} bytes early`,
    { path, offset: offset + done },
  );
}

/** Where the bytes of a file come from: this disk, or a server. */
export interface ByteFile {
  readonly sizeBytes: number;
  /** Fills `into`, or throws. */
  read(into: Uint8Array, offset: number): Promise<void>;
  close(): Promise<void>;
}

export async function openBytes(path: string): Promise<ByteFile> {
  const { handle, sizeBytes } = await openFile(path);
  return {
    sizeBytes,
    read: (into, offset) => readExactly(handle, path, into, offset),
    close: () => handle.close(),
  };
}
