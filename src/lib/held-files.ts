/**
 * Moving and removing files that another program may hold for a moment. On Windows a virus scanner or an indexer opens each file that was
 * just written, and until it is done nobody else moves or removes it.
 */
import { rename, rm } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";

/** The pauses double and come to 2.5 s in all. */
const HELD = { attempts: 9, firstPauseMs: 10 } as const;
const HELD_CODES: ReadonlySet<unknown> = new Set(["EACCES", "EBUSY", "EPERM"]);

interface Mover {
  platform: NodeJS.Platform;
  move: (from: string, to: string) => Promise<void>;
  pause: (ms: number) => Promise<unknown>;
}

/** As `rename` does: replaces a file at `to`. */
export async function moveFile(
  from: string,
  to: string,
  mover: Mover = { platform: process.platform, move: rename, pause },
): Promise<void> {
  const attempts = mover.platform === "win32" ? HELD.attempts : 1;
  for (let attempt = 1; ; attempt++) {
    try {
      await mover.move(from, to);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (attempt === attempts || !HELD_CODES.has(code)) throw error;
    }
    await mover.pause(HELD.firstPauseMs * 2 ** (attempt - 1));
  }
}

/** A file, or a folder with all in it; nothing if there is none. */
export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 5 });
}
