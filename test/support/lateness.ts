/**
 * How late this machine is: the time that a timer here waited for a processor. A promise such as "within 5 s" is for a machine that has time; on
 * one that has not, it holds from the promised time on plus this.
 */
const EVERY_MS = 50;

export class Lateness implements Disposable {
  #sumMs = 0;
  #dueMs = performance.now() + EVERY_MS;
  readonly #timer = setInterval(() => {
    const nowMs = performance.now();
    this.#sumMs += Math.max(0, nowMs - this.#dueMs);
    this.#dueMs = nowMs + EVERY_MS;
  }, EVERY_MS).unref();

  /** Since it was made. */
  get ms(): number {
    return this.#sumMs;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
