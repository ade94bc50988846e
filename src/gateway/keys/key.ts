/**
 * One key: who it is, what it may use, and what it has used.
 *
 * Tokens are counted as they come: the prompt's when a request is accepted, each of the reply's when it is there. A reply's length is not
 * known before, and to charge the most that it may have would refuse clients that never use it (many send no `max_tokens`, which means the
 * whole context). So a request is accepted while the key has any tokens left, and what it then takes beyond them is owed: the next one waits
 * for longer. A key exceeds its minute by what its running sessions still generate, and gets no more over time than it may have.
 */
import { type Clock, ShoalError } from "../../lib/index.ts";
import { Gate } from "./gate.ts";
import type { KeyLimits } from "./keys-file.ts";
import { MinuteBucket } from "./minute-bucket.ts";

export class Key {
  readonly name: string;
  readonly #clock: Pick<Clock, "now">;
  #limits: KeyLimits;
  #requests: MinuteBucket | undefined;
  #tokens: MinuteBucket | undefined;
  readonly #gate: Gate;

  constructor(name: string, limits: KeyLimits, clock: Pick<Clock, "now">) {
    this.name = name;
    this.#clock = clock;
    this.#limits = limits;
    this.#gate = new Gate(limits.sessions ?? Infinity);
    this.change(limits);
  }

  /** Other limits from here on; what it has used still counts. */
  change(limits: KeyLimits): void {
    this.#limits = limits;
    this.#requests = this.#bucket(this.#requests, limits.requestsPerMinute);
    this.#tokens = this.#bucket(this.#tokens, limits.tokensPerMinute);
    this.#gate.change(limits.sessions ?? Infinity);
  }

  /** Whether it may use a model that has these names. */
  mayUse(names: readonly string[]): boolean {
    const { models } = this.#limits;
    return models === undefined || names.some((name) => models.includes(name));
  }

  /** Counts a request. Throws RATE_LIMITED. */
  takeRequest(): void {
    const requests = this.#requests;
    if (requests !== undefined && requests.level < 1)
      throw this.#limited(requests, "requests");
    this.#checkTokens();
    requests?.take(1);
  }

  /** Counts a prompt. Throws RATE_LIMITED: requests that came together have used all tokens meanwhile. */
  takePrompt(tokens: number): void {
    this.#checkTokens();
    this.#tokens?.take(tokens);
  }

  /** Counts what was generated. */
  count(tokens: number): void {
    this.#tokens?.take(tokens);
  }

  /** Waits for one of its sessions. Returns the function that gives it back. */
  async enter(signal: AbortSignal): Promise<() => void> {
    return await this.#gate.enter(signal);
  }

  /** What is left, as OpenAI tells it (https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers). */
  headers(): Record<string, string> {
    return {
      ...headersOf("requests", this.#requests),
      ...headersOf("tokens", this.#tokens),
    };
  }

  #bucket(
    before: MinuteBucket | undefined,
    perMinute: number | undefined,
  ): MinuteBucket | undefined {
    if (perMinute === undefined) return undefined;
    if (before === undefined) return new MinuteBucket(perMinute, this.#clock);
    if (before.perMinute !== perMinute) before.change(perMinute);
    return before;
  }

  #checkTokens(): void {
    const tokens = this.#tokens;
    if (tokens !== undefined && tokens.level < 1)
      throw this.#limited(tokens, "tokens");
  }

  #limited(bucket: MinuteBucket, what: string): ShoalError {
    const retryAfterMs = Math.max(1, bucket.msUntil(1));
    return new ShoalError(
      "RATE_LIMITED",
      `the key ${this.name} has used its ${bucket.perMinute} ${what} a minute; there are more in ${Math.ceil(retryAfterMs / 1000)} s`,
      { limit: what, perMinute: bucket.perMinute, retryAfterMs },
    );
  }
}

function headersOf(
  what: string,
  bucket: MinuteBucket | undefined,
): Record<string, string> {
  if (bucket === undefined) return {};
  const { perMinute } = bucket;
  const remaining = Math.max(0, Math.floor(bucket.level));
  return {
    [`x-ratelimit-limit-${what}`]: String(perMinute),
    [`x-ratelimit-remaining-${what}`]: String(remaining),
    [`x-ratelimit-reset-${what}`]: duration(bucket.msUntil(perMinute)),
  };
}

/** As Go writes it, which OpenAI's headers do: "0s", "120ms", "1.5s", "6m0s". */
export function duration(ms: number): string {
  if (ms > 0 && ms < 1_000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = (ms - minutes * 60_000) / 1_000;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}
