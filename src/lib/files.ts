/** Files: complete reads and writes, errors that say which file failed and why, and a check for free space before gigabytes are written. */
import { type FileHandle, statfs } from "node:fs/promises";
import { ShoalError } from "./errors.ts";
import { formatBytes } from "./units.ts";

export function readError(error: unknown, path: string): ShoalError {
  if (error instanceof ShoalError) return error;
  const errno = errnoOf(error);
  if (errno === "ENOENT" || errno === "ENOTDIR") {
    return new ShoalError("FILE_NOT_FOUND", `${path} does not exist`, { path });
  }
  return new ShoalError(
    "FILE_UNREADABLE",
    `${path} cannot be read${errno === undefined ? "" : `: ${errno}`}`,
    { path },
    error,
  );
}

export function writeError(error: unknown, path: string): ShoalError {
  if (error instanceof ShoalError) return error;
  const errno = errnoOf(error);
  if (errno === undefined) return ShoalError.from(error);
  const isFull = errno === "ENOSPC" || errno === "EDQUOT";
  return new ShoalError(
    isFull ? "DISK_FULL" : "FILE_UNWRITABLE",
    isFull
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

/** Room for this user on the disk of a folder. Undefined if it cannot be told. */
export async function freeDiskBytes(
  folder: string,
): Promise<number | undefined> {
  const found = await statfs(folder).catch(() => undefined);
  return found && found.bavail * found.bsize;
}

/** Throws DISK_FULL. If the folder cannot be checked, the write itself will tell. */
export async function checkDiskSpace(
  folder: string,
  neededBytes: number,
): Promise<void> {
  const freeBytes = await freeDiskBytes(folder);
  if (freeBytes === undefined || freeBytes >= neededBytes) return;
  throw new ShoalError(
    "DISK_FULL",
    `${folder} has ${formatBytes(freeBytes)} free, ${formatBytes(neededBytes)} are needed`,
    { path: folder, freeBytes, neededBytes },
  );
}

export async function writeAll(
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(
      bytes,
      done,
      bytes.length - done,
      position + done,
    );
    done += bytesWritten;
  }
}

/** Fills `into`. Returns the bytes read: fewer only at the end of the file. */
export async function readAll(
  file: FileHandle,
  into: Uint8Array,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await file.read(
      into,
      done,
      into.length - done,
      position + done,
    );
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
