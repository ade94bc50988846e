/**
 * How late this machine is: the time that a timer waited for a processor. A promise such as "within 5 s" is for a machine with free
 * processors; on a busy one this lateness is added.
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
