/** Files on disk, with errors that say which and why. */
import { open, stat, type FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { ShoalError, type ErrorCode } from "../lib/index.ts";

/** Opens a regular file to read. A pipe or device is refused before it is opened: opening one can wait for ever. */
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
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await handle
      .read(into, done, into.length - done, offset + done)
      .catch((error: unknown) => {
        throw readError(error, path);
      });
    if (bytesRead === 0) {
      throw new ShoalError(
        "GGUF_TRUNCATED",
        `${basename(path)}: the file ends at byte ${offset + done}, ${into.length - done} bytes early`,
        { path, offset: offset + done },
      );
    }
    done += bytesRead;
  }
}

export function readError(error: unknown, path: string): ShoalError {
  if (error instanceof ShoalError) return error;
  const code = errnoOf(error);
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new ShoalError("FILE_NOT_FOUND", `${path} does not exist`, { path });
  }
  return new ShoalError(
    "FILE_UNREADABLE",
    `${path} cannot be read${code === undefined ? "" : `: ${code}`}`,
    { path },
    error,
  );
}

export function writeError(error: unknown, path: string): ShoalError {
  if (error instanceof ShoalError) return error;
  const errno = errnoOf(error);
  if (errno === undefined) return ShoalError.from(error);
  const code: ErrorCode =
    errno === "ENOSPC" || errno === "EDQUOT" ? "DISK_FULL" : "FILE_UNWRITABLE";
  return new ShoalError(
    code,
    code === "DISK_FULL"
      ? `no space left to write ${path}`
      : `${path} cannot be written: ${errno}`,
    { path },
    error,
  );
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error &&
    "code" in error &&
    typeof error.code === "string"
    ? error.code
    : undefined;
}
