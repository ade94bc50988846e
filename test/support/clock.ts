/** Time for tests. */
import type { Clock } from "../../src/lib/index.ts";

/** Time that passes on command. */
export class HandClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Set<{ atMs: number; fn: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { atMs: this.#now + ms, fn };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers]
        .filter(({ atMs }) => atMs <= end)
        .sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = due.atMs;
      due.fn();
      await settled();
    }
    this.#now = end;
  }
}

/** Everything due now is done. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++)
    await new Promise((resolve) => setImmediate(resolve));
}
