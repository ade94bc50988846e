/**
 * Repeats this host's records and provider records. Peers that keep a record leave, closer ones come, and records expire, so after an hour
 * a record goes to the peers that are closest then. (kad-dht itself repeats no values, and provider records after a day.) A record with
 * fewer than three copies is sent again as soon as the routing table grows, so a node that was alone reaches later peers.
 */
import type { Clock } from "../../lib/index.ts";

export const REPUBLISH = Object.freeze({
  /** Records live for hours at least; their owners renew others more often themselves. */
  everyMs: 3_600_000,
  /** Share of the interval, so that hosts that started together drift apart. */
  jitter: 0.1,
  /** With fewer copies, a record is lost when two peers leave. */
  copies: 3,
  /** Delay after the table grew: a joining host meets several peers at once. */
  settleMs: 1_000,
  /** How many at once, so that thousands of contents do not saturate a host. */
  concurrency: 4,
  /** Interval of checks for due records. */
  tickMs: 60_000,
  /** A host provides no more keys than others would keep for it. */
  items: 10_000,
});

export interface Republished {
  /** Its own interval, shorter if peers keep it only for a short time. */
  everyMs?: number | undefined;
  /** Stores it again. Returns the number of peers that confirmed, or undefined if it should not be repeated any more. */
  store(): Promise<number | undefined>;
}

interface Item extends Republished {
  copies: number;
  dueMs: number;
}

export interface RepublisherOptions {
  clock: Clock;
  random: () => number;
  /** Searches for neighbours when the table grew, before records with few copies are sent again. */
  onGrowth: () => Promise<void>;
}

export class Republisher {
  readonly #options: RepublisherOptions;
  readonly #items = new Map<string, Item>();
  #cancelTick: () => void = () => {};
  #cancelSettle: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: RepublisherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#tickLater();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTick();
    this.#cancelSettle?.();
    await this.#running;
  }

  /** Keys with this prefix. */
  count(prefix: string): number {
    let count = 0;
    for (const key of this.#items.keys()) if (key.startsWith(prefix)) count++;
    return count;
  }

  /** False if there are too many. */
  add(key: string, item: Republished): boolean {
    if (!this.#items.has(key) && this.#items.size >= REPUBLISH.items)
      return false;
    this.#items.set(key, { ...item, copies: 0, dueMs: this.#nextMs(item) });
    return true;
  }

  /** How many peers just confirmed it. */
  stored(key: string, copies: number): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    item.copies = copies;
    item.dueMs = this.#nextMs(item);
  }

  remove(key: string): void {
    this.#items.delete(key);
  }

  /** The routing table has one more peer. */
  grew(): void {
    if (this.#stopped || this.#cancelSettle !== undefined) return;
    this.#cancelSettle = this.#options.clock.after(REPUBLISH.settleMs, () => {
      this.#cancelSettle = undefined;
      this.#enqueue(async () => {
        await this.#options.onGrowth();
        await this.#say((item) => item.copies < REPUBLISH.copies);
      });
    });
  }

  #tickLater(): void {
    this.#cancelTick = this.#options.clock.after(REPUBLISH.tickMs, () => {
      const now = this.#options.clock.now();
      this.#enqueue(() => this.#say((item) => item.dueMs <= now));
      this.#tickLater();
    });
  }

  #enqueue(work: () => Promise<void>): void {
    this.#running = this.#running.then(work).catch(() => {});
  }

  async #say(wanted: (item: Item) => boolean): Promise<void> {
    const due = [...this.#items].filter(([, item]) => wanted(item));
    const worker = async (): Promise<void> => {
      for (let next = due.shift(); next !== undefined; next = due.shift()) {
        if (this.#stopped) return;
        const [key, item] = next;
        // It may have been replaced or forgotten meanwhile.
        if (this.#items.get(key) !== item) continue;
        const copies = await item.store().catch(() => 0);
        if (this.#items.get(key) !== item) continue;
        if (copies === undefined) this.#items.delete(key);
        else this.stored(key, copies);
      }
    };
    await Promise.all(Array.from({ length: REPUBLISH.concurrency }, worker));
  }

  #nextMs({ everyMs = REPUBLISH.everyMs }: Republished): number {
    const { clock, random } = this.#options;
    const spread = 1 + REPUBLISH.jitter * (2 * random() - 1);
    return clock.now() + Math.min(everyMs, REPUBLISH.everyMs) * spread;
  }
}
