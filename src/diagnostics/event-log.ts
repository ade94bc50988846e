/**
 * The last events, each with an id from which readers can continue. An id is `<run>-<number>`, because a number alone would mean another
 * event after a restart.
 */
import type { ShoalEvent } from "../lib/index.ts";
import { DIAGNOSTICS_DEFAULTS } from "./defaults.ts";
import { publicEvent } from "./redact.ts";

export interface KeptEvent {
  seq: number;
  id: string;
  event: ShoalEvent;
  /** Its encoding, made once for all readers. */
  block: string;
}

export interface EventsSince {
  /** The event after which a reader continues. */
  afterSeq: number;
  /** Events after the reader's last one that are no longer kept; null if unknown, because it knew another run. */
  missed: number | null;
}

export class EventLog {
  /** Distinguishes this run from those before it. */
  readonly run: string;
  #kept: KeptEvent[] = [];
  #newest = 0;
  #size: number;
  #listeners = new Set<(kept: KeptEvent) => void>();

  constructor(run: string, size: number = DIAGNOSTICS_DEFAULTS.eventsKept) {
    this.run = run;
    this.#size = size;
  }

  get newest(): number {
    return this.#newest;
  }

  /** The number of the oldest kept event, or of the next one if none is kept. */
  get oldest(): number {
    return this.#newest - this.#kept.length + 1;
  }

  push(event: ShoalEvent): void {
    const seq = ++this.#newest;
    const id = `${this.run}-${seq}`;
    const shown = publicEvent(event);
    const data = JSON.stringify({ id, ...shown });
    const kept = {
      seq,
      id,
      event: shown,
      block: `id: ${id}\ndata: ${data}\n\n`,
    };
    this.#kept.push(kept);
    if (this.#kept.length > this.#size) this.#kept.shift();
    for (const listener of this.#listeners) listener(kept);
  }

  /** Returns the function that ends the subscription. */
  subscribe(listener: (kept: KeptEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The event after number `seq`, or the oldest there is. */
  after(seq: number): KeptEvent | undefined {
    return this.#kept[Math.max(0, seq - this.oldest + 1)];
  }

  /** Where a reader that has seen `lastId` continues; undefined if it has seen none and gets all kept events. */
  since(lastId: string | undefined): EventsSince {
    const first = this.oldest - 1;
    if (lastId === undefined) return { afterSeq: first, missed: 0 };
    const [run, number = ""] = lastId.split("-");
    const seq = Number(number);
    const reuseLocal =
      run === this.run && /^\d{1,15}$/.test(number) && seq <= this.#newest;
    if (!reuseLocal) return { afterSeq: first, missed: null };
    return { afterSeq: Math.max(seq, first), missed: Math.max(0, first - seq) };
  }
}
