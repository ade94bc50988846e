/**
 * What the store needs from the file system: stamps that show whether a file changed since it was hashed, complete writes, and errors that
 * name the file.
 */
import { open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { writeAtomically } from "../gguf/index.ts";

export { checkDiskSpace, readAll, writeAll, writeError } from "../lib/index.ts";

/** A file's state when it was checked. While it stays the same, so do the bytes. */
export interface FileStamp {
  path: string;
  sizeBytes: number;
  /** In digits: nanoseconds since the epoch need more than 53 bits. */
  mtimeNs: string;
  /** A different inode under the same name is another file. Not kept across runs: a copied disk has other numbers. */
  inode: string;
  device: string;
}

/** Undefined if there is no regular file. */
export async function stampOf(path: string): Promise<FileStamp | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (found === undefined || !found.isFile()) return undefined;
  return {
    path,
    sizeBytes: Number(found.size),
    mtimeNs: String(found.mtimeNs),
    inode: String(found.ino),
    device: String(found.dev),
  };
}

export function isSameFile(a: FileStamp, b: FileStamp | undefined): boolean {
  return (
    a.path === b?.path &&
    a.sizeBytes === b.sizeBytes &&
    a.mtimeNs === b.mtimeNs &&
    a.inode === b.inode &&
    a.device === b.device
  );
}

/** Writes the whole file or keeps the old one, also in a crash. */
export async function writeWhole(
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  await writeAtomically(path, {}, (output) => output.write(bytes));
}

/** A rename is on disk when its folder is. If folders cannot be synced, nothing can be done. */
export async function syncFolderOf(path: string): Promise<void> {
  try {
    await using folder = await open(dirname(path), "r");
    await folder.sync();
  } catch {
    // Not on every platform.
  }
}
