/** Says when to scan the folders again: soon after a change, and periodically in case a change went unnoticed. */
import { type FSWatcher, watch } from "node:fs";
import type { Clock } from "../lib/index.ts";
import { isUnfinished } from "./scan.ts";

export interface WatchOptions {
  clock: Clock;
  /** A copy makes thousands of events: one scan for all within this time. */
  debounceMs: number;
  /** Network file systems report no changes. */
  pollMs: number;
  onChange: () => void;
  /** A folder that cannot be watched; the poll finds its changes. */
  onError: (folder: string, error: unknown) => void;
}

export class FolderWatch {
  #options: WatchOptions;
  #watchers = new Map<string, FSWatcher>();
  #cancelSoon: (() => void) | undefined;
  #cancelPoll: (() => void) | undefined;
  #failed = new Set<string>();
  #isStopped = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, pollMs, onChange } = this.#options;
    this.#cancelPoll = clock.after(pollMs, () => {
      this.start();
      onChange();
    });
  }

  /** The folders as they are now. */
  follow(folders: readonly string[]): void {
    if (this.#isStopped) return;
    const wanted = new Set(folders);
    for (const [folder, watcher] of this.#watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of wanted)
      if (!this.#watchers.has(folder)) this.#watch(folder);
  }

  /** Calls `onChange` after `ms`, once for all calls meanwhile. */
  soon(ms = this.#options.debounceMs): void {
    if (this.#isStopped) return;
    const { clock, onChange } = this.#options;
    this.#cancelSoon ??= clock.after(ms, () => {
      this.#cancelSoon = undefined;
      onChange();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelSoon?.();
    this.#cancelPoll?.();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (name === null || !isUnfinished(name)) this.soon();
      });
      watcher.on("error", (error) => {
        watcher.close();
        this.#watchers.delete(folder);
        this.#fail(folder, error);
      });
      this.#watchers.set(folder, watcher);
    } catch (error) {
      this.#fail(folder, error);
    }
  }

  /** Reported once, tried at every scan. */
  #fail(folder: string, error: unknown): void {
    if (this.#failed.has(folder)) return;
    this.#failed.add(folder);
    this.#options.onError(folder, error);
  }
}
