/** What the store needs of the file system: stamps that tell whether a file is still what was hashed, whole writes, errors that say which. */
import { type FileHandle, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { writeAtomically } from "../gguf/index.ts";

export { checkDiskSpace, writeError } from "../lib/index.ts";

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

/** Fills `into`; gives the bytes read, less only where the file ends. */
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

/** A rename is on disk when its folder is. Where folders cannot be synced there is nothing to be done. */
export async function syncFolderOf(path: string): Promise<void> {
  try {
    await using folder = await open(dirname(path), "r");
    await folder.sync();
  } catch {
    // Not on every platform.
  }
}
