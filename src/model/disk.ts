/** Is there room? Asked before gigabytes are written, not found out after. */
import { statfs } from "node:fs/promises";
import { formatBytes, ShoalError } from "../lib/index.ts";

/** Throws DISK_FULL. A folder that cannot be asked is left to the write to find out about. */
export async function checkDiskSpace(
  folder: string,
  neededBytes: number,
): Promise<void> {
  const found = await statfs(folder).catch(() => undefined);
  if (found === undefined) return;
  const freeBytes = found.bavail * found.bsize;
  if (freeBytes >= neededBytes) return;
  throw new ShoalError(
    "DISK_FULL",
    `${folder} has ${formatBytes(freeBytes)} free, ${formatBytes(neededBytes)} are needed`,
    { path: folder, freeBytes, neededBytes },
  );
}
