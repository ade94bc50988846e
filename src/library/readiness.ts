/** Waiting until a cluster can answer. */
import { z } from "zod";
import { reasonOf, ShoalError } from "../lib/index.ts";
import { check, durationMs, signal } from "./check.ts";

export interface ReadyOptions {
  /** Give up after so long. Default: 60 s. */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

const schema = z.strictObject({
  timeoutMs: durationMs.default(60_000),
  signal: signal.optional(),
});

export class Readiness {
  #isReady = false;
  #waiting = new Set<() => void>();

  set(ready: boolean): void {
    this.#isReady = ready;
    if (!ready) return;
    for (const resolve of this.#waiting) resolve();
  }

  /** Rejects with why it is not ready when the time is over, and with the signal's reason. */
  async wait(
    what: string,
    whyNot: () => Promise<ShoalError | undefined> | ShoalError | undefined,
    options: ReadyOptions = {},
  ): Promise<void> {
    const given = check(what, schema, options);
    if (given.signal?.aborted === true) throw reasonOf(given.signal);
    if (this.#isReady) return;
    const { promise, resolve } = Promise.withResolvers<
      "ready" | "late" | "aborted"
    >();
    const onReady = (): void => resolve("ready");
    const onAbort = (): void => resolve("aborted");
    const timer = setTimeout(() => resolve("late"), given.timeoutMs);
    this.#waiting.add(onReady);
    given.signal?.addEventListener("abort", onAbort);
    const how = await promise;
    clearTimeout(timer);
    this.#waiting.delete(onReady);
    given.signal?.removeEventListener("abort", onAbort);
    if (how === "aborted" && given.signal !== undefined)
      throw reasonOf(given.signal);
    if (how === "late") throw await lateError(whyNot, given.timeoutMs);
  }
}

async function lateError(
  whyNot: () => Promise<ShoalError | undefined> | ShoalError | undefined,
  timeoutMs: number,
): Promise<ShoalError> {
  const reason = await whyNot();
  return (
    reason ??
    new ShoalError(
      "SWARM_NOT_READY",
      `the cluster was not ready within ${timeoutMs} ms`,
      { timeoutMs },
    )
  );
}
