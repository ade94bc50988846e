/** The keys that the gateway knows, and their file, which is read again when it changes. */
import { timingSafeEqual } from "node:crypto";
import { stat } from "node:fs/promises";
import { type Clock, type EventSink, ShoalError } from "../../lib/index.ts";
import { Key } from "./key.ts";
import { hashOf, type KeyEntry, readKeysFile } from "./keys-file.ts";

/** A key that is taken away works no longer than this. */
const LOOK_MS = 2_000;

export interface KeysOptions {
  clock: Clock;
  events: EventSink;
}

export class Keys {
  readonly #options: KeysOptions;
  #known: { hash: Buffer; key: Key }[] = [];
  #path: string | undefined;
  #seen = "";
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: KeysOptions) {
    this.#options = options;
  }

  /** From a file, from then on watched. Throws what `readKeysFile` throws. */
  static async open(path: string, options: KeysOptions): Promise<Keys> {
    const keys = new Keys(options);
    keys.#path = path;
    keys.#seen = await lookOf(path);
    await keys.#read(path);
    keys.#watch();
    return keys;
  }

  /** Those with a name it knew keep what they have used. */
  replace(entries: readonly KeyEntry[]): void {
    const before = new Map(this.#known.map(({ key }) => [key.name, key]));
    this.#known = entries.map(({ name, hash, limits }) => {
      const key = before.get(name);
      key?.change(limits);
      return { hash, key: key ?? new Key(name, limits, this.#options.clock) };
    });
  }

  /** Compares all, each in constant time. */
  find(secret: string): Key | undefined {
    const hash = hashOf(secret);
    let found: Key | undefined;
    for (const known of this.#known)
      if (timingSafeEqual(known.hash, hash)) found = known.key;
    return found;
  }

  /** Looks no more whether the file changes. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #watch(): void {
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(LOOK_MS, () => {
      void this.#look().finally(() => this.#watch());
    });
  }

  /** Never rejects: the keys that it has stay. */
  async #look(): Promise<void> {
    const path = this.#path;
    if (path === undefined) return;
    const { events } = this.#options;
    try {
      const seen = await lookOf(path);
      if (seen === this.#seen) return;
      this.#seen = seen;
      await this.#read(path);
      events.info("API", "the API keys were read again", {
        path,
        keys: this.#known.length,
      });
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      const what = `${message}; those from before stay in use`;
      events.warn("API", what, { path, code });
    }
  }

  async #read(path: string): Promise<void> {
    const { entries, openToOthers } = await readKeysFile(path);
    this.replace(entries);
    if (openToOthers)
      this.#options.events.warn(
        "API",
        `other users of this machine can read the API keys: chmod 600 ${path}`,
        { path },
      );
  }
}

/** What changes when a file does, replaced or written to; "" if there is none. */
async function lookOf(path: string): Promise<string> {
  const stats = await stat(path, { bigint: true }).catch(() => undefined);
  if (stats === undefined) return "";
  const { ino, size, mtimeNs, ctimeNs } = stats;
  return [ino, size, mtimeNs, ctimeNs].join();
}
