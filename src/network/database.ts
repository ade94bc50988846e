/**
 * The database of a process: what its DHT keeps, and the peers it knows. Its lock is also that of the home it lies in: a second process that
 * starts from the same home does not get it, and the lock ends with its process, however that ends.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LevelDatastore } from "datastore-level";
import { ShoalError } from "../lib/index.ts";

/** Throws HOME_IN_USE or FILE_UNWRITABLE. */
export async function openDatabase(path: string): Promise<LevelDatastore> {
  const database = new LevelDatastore(path);
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    // Here too, because the datastore keeps only the text of an error (datastore-level 13.0.1).
    await database.db.open({ compression: false });
    await database.open();
  } catch (error) {
    if (isLocked(error)) throw await homeInUse(path, error);
    throw new ShoalError(
      "FILE_UNWRITABLE",
      `cannot open the peer database ${path}`,
      { path },
      error,
    );
  }
  return database;
}

/** Whether a process has this database open. */
export async function isDatabaseOpen(path: string): Promise<boolean> {
  if (!existsSync(path)) return false;
  const database = new LevelDatastore(path);
  try {
    await database.db.open({ createIfMissing: false });
  } catch (error) {
    return isLocked(error);
  }
  await database.close();
  return false;
}

async function homeInUse(path: string, cause: unknown): Promise<ShoalError> {
  const folder = dirname(path);
  const pid = await lockHolder(join(path, "LOCK"));
  return new ShoalError(
    "HOME_IN_USE",
    `${folder} is in use by another process of Shoal${pid === undefined ? "" : ` (${pid})`}: stop it, or give this one a --home of its own`,
    { folder, pid },
    cause,
  );
}

/** LevelDB's word is the cause of the one who was told to open. */
function isLocked(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if ((at as NodeJS.ErrnoException).code === "LEVEL_LOCKED") return true;
  return false;
}

/** Linux tells it; undefined elsewhere. */
async function lockHolder(file: string): Promise<number | undefined> {
  try {
    const { ino } = await stat(file);
    const locks = await readFile("/proc/locks", "utf8");
    // 1: POSIX  ADVISORY  WRITE 4711 fd:01:393541 0 EOF
    const line = locks.split("\n").find((each) => each.includes(`:${ino} `));
    const pid = Number(line?.split(/\s+/)[4]);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
