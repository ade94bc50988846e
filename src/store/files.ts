/** What the store needs of the file system: stamps that tell whether a file is still what was hashed, whole writes, errors that say which. */
import { open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { writeAtomically } from "../gguf/index.ts";

export { checkDiskSpace, readAll, writeAll, writeError } from "../lib/index.ts";

/** Of a file when it was looked at. As long as it is the same, so are the bytes. */
export interface FileStamp {
  path: string;
  sizeBytes: number;
  /** In digits: nanoseconds since the epoch need more than 53 bits. */
  mtimeNs: string;
  /** Another one under the same name is another file. Not kept beyond a run: a copied disk has other numbers. */
  inode: string;
  device: string;
}

/** Undefined where there is no regular file. */
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

/** The whole file or the one there was, also after a crash. */
export async function writeWhole(
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  await writeAtomically(path, {}, (output) => output.write(bytes));
}

/** A rename is on disk when its folder is. Where folders cannot be synced there is nothing to be done. */
export async function syncFolderOf(path: string): Promise<void> {
  try {
    await using folder = await open(dirname(path), "r");
    await folder.sync();
  } catch {
    // Not on every platform.
  }
}
