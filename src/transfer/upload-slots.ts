/** Decides who is served now and who is next. A peer that had its turn makes room for one that waits. */
import type { Clock } from "../lib/index.ts";

export interface SlotHolder {
  /** Its turn has come. */
  onServed(): void;
  /** It waits behind this many peers. */
  onWaiting(ahead: number): void;
}

export interface SlotsOptions {
  slots: number;
  turnMs: number;
  clock: Pick<Clock, "now">;
}

export class UploadSlots {
  readonly #options: SlotsOptions;
  #slots: number;
  readonly #served = new Map<SlotHolder, number>();
  readonly #waiting = new Set<SlotHolder>();

  constructor(options: SlotsOptions) {
    this.#options = options;
    this.#slots = options.slots;
  }

  get served(): number {
    return this.#served.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  set slots(slots: number) {
    this.#slots = slots;
    this.#fill();
  }

  isServed(holder: SlotHolder): boolean {
    return this.#served.has(holder);
  }

  /** It has requests: true if they may be served now. Otherwise `onServed` says when. */
  ask(holder: SlotHolder): boolean {
    if (this.#served.has(holder)) return true;
    if (this.#waiting.has(holder)) return false;
    if (this.#served.size < this.#slots) {
      this.#serve(holder);
      return true;
    }
    holder.onWaiting(this.#waiting.size);
    this.#waiting.add(holder);
    return false;
  }

  /** Between two pieces: true if the peer must now wait for its next turn. */
  yieldTurn(holder: SlotHolder): boolean {
    const sinceMs = this.#served.get(holder);
    if (sinceMs === undefined) return true;
    const over = this.#served.size > this.#slots;
    const isLong = this.#options.clock.now() - sinceMs >= this.#options.turnMs;
    if (!over && (this.#waiting.size === 0 || !isLong)) return false;
    this.#served.delete(holder);
    this.#fill();
    return !this.ask(holder);
  }

  /** It has no requests any more, or is gone. */
  release(holder: SlotHolder): void {
    this.#waiting.delete(holder);
    if (this.#served.delete(holder)) this.#fill();
  }

  #fill(): void {
    for (const next of this.#waiting) {
      if (this.#served.size >= this.#slots) return;
      this.#waiting.delete(next);
      this.#serve(next);
      next.onServed();
    }
  }

  #serve(holder: SlotHolder): void {
    this.#served.set(holder, this.#options.clock.now());
  }
}
