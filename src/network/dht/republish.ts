/**
 * Says again what this host put and provided. Peers that keep a record leave, closer ones come, and records expire: after an hour it
 * goes to whoever is closest then (kad-dht itself republishes no values, and provider records after a day). What was stored at
 * fewer than three peers goes out again as soon as the routing table grows: a node that was alone reaches those who come.
 */
import type { Clock } from "../../lib/index.ts";

export const REPUBLISH = Object.freeze({
  /** Records live for hours at least; what is renewed more often is put by its owner anyway. */
  everyMs: 3_600_000,
  /** Of the interval, so that hosts that started together do not stay together. */
  jitter: 0.1,
  /** With fewer copies, two peers that leave lose it. */
  copies: 3,
  /** After the table grew: a host that joins meets several peers in a moment. */
  settleMs: 1_000,
  /** At once, so that thousands of contents do not fill the wires of a host with their keys. */
  concurrency: 4,
  /** Between two looks for what is due. */
  tickMs: 60_000,
  /** A host provides no more than others would keep of it. */
  items: 10_000,
});

export interface Republished {
  /** Of its own: shorter where those who keep it do so for a short time. */
  everyMs?: number | undefined;
  /** Stores it again: the number of peers that confirmed, or undefined where it is not to be said any more. */
  store(): Promise<number | undefined>;
}

interface Item extends Republished {
  copies: number;
  dueMs: number;
}

export interface RepublisherOptions {
  clock: Clock;
  random: () => number;
  /** When the table grew, before what is thin goes out again: looks for the neighbours. */
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

  /** Keys with this beginning. */
  count(prefix: string): number {
    let count = 0;
    for (const key of this.#items.keys()) if (key.startsWith(prefix)) count++;
    return count;
  }

  /** False where there are too many. */
  add(key: string, item: Republished): boolean {
    if (!this.#items.has(key) && this.#items.size >= REPUBLISH.items)
      return false;
    this.#items.set(key, { ...item, copies: 0, dueMs: this.#nextMs(item) });
    return true;
  }

  /** How many peers confirmed it just now. */
  stored(key: string, copies: number): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    item.copies = copies;
    item.dueMs = this.#nextMs(item);
  }

  remove(key: string): void {
    this.#items.delete(key);
  }

  /** The routing table has one peer more. */
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
        // It may have been put anew or forgotten meanwhile.
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
