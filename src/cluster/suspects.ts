/** Members whose connection somebody lost: without a newer record within the grace their records are dropped. */
import type { Suspicion } from "./gossip-message.ts";

/** How long late records of a dropped member are recognized. */
const REMEMBER_MS = 10_000;

export class Suspects {
  readonly #all = new Map<string, { seq: number; dueMs: number }>();

  /** Dropped at `dueMs` unless a record numbered above `seq` arrives. */
  add({ peer, seq }: Suspicion, dueMs: number): void {
    this.#all.set(peer, { seq, dueMs });
  }

  has(peer: string): boolean {
    return this.#all.has(peer);
  }

  /**
   * -1 if nobody suspects it.
   */
  seqOf(peer: string): number {
    return this.#all.get(peer)?.seq ?? -1;
  }

  /** The number up to which its records are void; undefined during its grace or if it is not suspected. */
  droppedUpTo(peer: string, nowMs: number): number | undefined {
    const suspect = this.#all.get(peer);
    return suspect !== undefined && suspect.dueMs <= nowMs
      ? suspect.seq
      : undefined;
  }

  /** Somebody is in its grace. */
  isWaiting(nowMs: number): boolean {
    return [...this.#all.values()].some(({ dueMs }) => dueMs > nowMs);
  }

  /** Those whose grace is over, for a while. */
  due(nowMs: number): Suspicion[] {
    const due: Suspicion[] = [];
    for (const [peer, { seq, dueMs }] of this.#all) {
      if (dueMs > nowMs) continue;
      if (dueMs + REMEMBER_MS <= nowMs) this.#all.delete(peer);
      due.push({ peer, seq });
    }
    return due;
  }
}
