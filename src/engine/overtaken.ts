/**
 * Chunks of prompts that are computed and not yet sent on: the tokens that waited behind their decode go first. So a token that has waited for
 * a chunk at one stage does not find the same chunk in its way at the next.
 */
export class Overtaken {
  readonly #sends: (() => void)[] = [];
  #untilMs = Infinity;

  get size(): number {
    return this.#sends.length;
  }

  /** `decodeMs`: what the chunk took. It waits for at most a quarter of that. */
  add(send: () => void, decodeMs: number): void {
    this.#sends.push(send);
    this.#untilMs = Math.min(this.#untilMs, performance.now() + decodeMs / 4);
  }

  /** Between two decodes: sends them unless tokens wait. */
  send(tokensWait: boolean): void {
    if (this.#sends.length === 0) return;
    if (tokensWait && performance.now() < this.#untilMs) return;
    this.#untilMs = Infinity;
    for (const send of this.#sends.splice(0)) send();
  }
}
