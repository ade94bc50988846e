/** The figures of transfers, which run in another thread: a moment old, for readers that cannot wait. */
import type { TransferStats } from "../transfer/index.ts";

export class CachedStats {
  readonly #ask: () => Promise<TransferStats>;
  #last: TransferStats | undefined;
  #isAsking = false;

  constructor(ask: () => Promise<TransferStats>) {
    this.#ask = ask;
  }

  /** Reading requests the next figures. Undefined before the first. */
  get(): TransferStats | undefined {
    if (!this.#isAsking) void this.#refresh();
    return this.#last;
  }

  async #refresh(): Promise<void> {
    this.#isAsking = true;
    try {
      this.#last = await this.#ask();
    } catch {
      // It is stopping, or its thread is restarting.
    } finally {
      this.#isAsking = false;
    }
  }
}
