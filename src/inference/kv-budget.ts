/**
 * Pages of keys and values of one engine, counted as sessions reserve them: a session takes what its prompt and its reply may need, so many
 * short sessions fit where a few of the whole context do. Pure.
 *
 *     const budget = new KvBudget(4 * 32_768);                       // sessions × context
 *     if (!budget.reserve(promptTokens + maxTokens)) throw busy();   // when a session opens
 *     budget.release(promptTokens + maxTokens);                      // when it ends, with the same number, once
 */

/** Tokens of a page: llama.cpp keeps room in multiples of it. */
export const KV_PAGE_TOKENS = 256;

/** What so many tokens take: whole pages. */
export function pagedTokens(tokens: number): number {
  return Math.ceil(tokens / KV_PAGE_TOKENS) * KV_PAGE_TOKENS;
}

export class KvBudget {
  /** Of all sessions together. */
  readonly totalTokens: number;
  #reserved = 0;

  /** `tokens` is rounded up, as llama.cpp does with a context. */
  constructor(tokens: number) {
    this.totalTokens = pagedTokens(tokens);
  }

  get freeTokens(): number {
    return this.totalTokens - this.#reserved;
  }

  /** Whether there was room for a session of so many tokens; then it is taken. */
  reserve(tokens: number): boolean {
    const pages = pagedTokens(tokens);
    if (pages > this.freeTokens) return false;
    this.#reserved += pages;
    return true;
  }

  /** Gives back what a session of so many tokens had reserved. */
  release(tokens: number): void {
    this.#reserved = Math.max(0, this.#reserved - pagedTokens(tokens));
  }
}
