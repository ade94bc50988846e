/** Waiting with a deadline, backing off, and promises settled from outside. */
import { ShoalError, type ErrorCode, type ErrorDetails } from "./errors.ts";

/** A signal that aborts after `timeoutMs` with a ShoalError, or earlier with `signal`'s own reason; once cleared, not at all. */
export function deadline(
  timeoutMs: number,
  what: string,
  signal?: AbortSignal,
  code: ErrorCode = "DEADLINE",
  details: ErrorDetails = {},
): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController();
  // Not to be given away: Node keeps it for as long as it has listeners, and whoever waited for something may leave one (p-event does).
  const outer = signal && AbortSignal.any([signal]);
  const follow = (): void => controller.abort(outer?.reason);
  if (outer?.aborted === true) follow();
  else outer?.addEventListener("abort", follow, { once: true });
  const timer = setTimeout(() => {
    controller.abort(
      new ShoalError(code, `${what}: no answer within ${timeoutMs} ms`, {
        ...details,
        timeoutMs,
      }),
    );
  }, timeoutMs);
  const clear = (): void => {
    clearTimeout(timer);
    outer?.removeEventListener("abort", follow);
  };
  return { signal: controller.signal, clear };
}

/** `promise`, or the signal's reason once it aborts. The promise's own late rejection is swallowed. */
export function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(reasonOf(signal));
    if (signal.aborted) {
      promise.catch(() => {});
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener("abort", onAbort);
        resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener("abort", onAbort);
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

/** Runs `work` under a deadline. Rejects with `code` when the time is over, whether or not `work` heeds its signal. */
export async function withDeadline<T>(
  timeoutMs: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
  options: {
    signal?: AbortSignal;
    code?: ErrorCode;
    details?: ErrorDetails;
  } = {},
): Promise<T> {
  const limit = deadline(
    timeoutMs,
    what,
    options.signal,
    options.code,
    options.details,
  );
  try {
    return await abortable(work(limit.signal), limit.signal);
  } finally {
    limit.clear();
  }
}

/** Once `work` has settled, or after `ms`: for an end, which whoever does not answer must not hold up. Never rejects. */
export async function settledWithin(
  ms: number,
  work: Promise<unknown>,
): Promise<void> {
  const late = new AbortController();
  await Promise.race([
    work.catch(() => {}),
    sleep(ms, late.signal).catch(() => {}),
  ]);
  late.abort();
}

/** The reason a signal was aborted for, as an Error. */
export function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  if (reason instanceof ShoalError) return reason;
  return new ShoalError(
    "ABORTED",
    reason instanceof Error ? reason.message : "aborted",
    {},
    reason,
  );
}

/** Resolves after `ms`, rejects with the signal's reason if that comes first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(reasonOf(signal));
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      if (signal !== undefined) reject(reasonOf(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

export interface BackoffOptions {
  /** First wait, in ms. */
  initialMs?: number;
  /** No wait is longer, in ms. */
  maxMs?: number;
  /** A number in [0, 1): full jitter over the upper half, so that clients that lost one server do not all return at the same moment. */
  random?: () => number;
}

/** Wait before try `attempt` (0 is the first retry): exponential, jittered. */
export function backoffMs(
  attempt: number,
  options: BackoffOptions = {},
): number {
  const { initialMs = 500, maxMs = 10_000, random = Math.random } = options;
  const ceiling = Math.min(maxMs, initialMs * 2 ** Math.min(attempt, 30));
  return Math.round(ceiling / 2 + random() * (ceiling / 2));
}
