/** Keeps an engine loaded: starts it again when it dies, with growing pauses, and gives it up when that does not help. */
import { type EventSink, formatMs, ShoalError, sleep } from "../lib/index.ts";
import type { StageInfo } from "./child.ts";
import type { Restarts } from "./restarts.ts";

export interface Supervised {
  /** Why the process that is loaded now ended, once it has. */
  exited: () => Promise<ShoalError>;
  load: () => Promise<StageInfo>;
  onDown: (error: ShoalError) => void;
  onUp: (info: StageInfo) => void;
  onGivenUp: (error: ShoalError) => void;
  restarts: Restarts;
  events: EventSink | undefined;
  /** Ends it. */
  signal: AbortSignal;
}

/** From its first load on, until it is given up, or the signal. */
export async function supervise(engine: Supervised): Promise<void> {
  const { signal, events, restarts, onDown, onGivenUp } = engine;
  const stopped = new Promise<undefined>((resolve) =>
    signal.addEventListener("abort", () => resolve(undefined)),
  );
  for (;;) {
    const startedMs = performance.now();
    const error = await Promise.race([engine.exited(), stopped]);
    if (signal.aborted || error === undefined) return;
    events?.error("ENGINE", error.message, { code: error.code });
    onDown(error);
    const pauseMs = restarts.died(error, performance.now() - startedMs);
    const last = await loadAgain(engine, pauseMs, error);
    if (last === undefined) continue;
    if (!signal.aborted) onGivenUp(givenUp(restarts.failures, last));
    return;
  }
}

/** Resolves with the last failure where it is not loaded any more. */
async function loadAgain(
  { load, onUp, restarts, events, signal }: Supervised,
  firstPauseMs: number | undefined,
  error: ShoalError,
): Promise<ShoalError | undefined> {
  let last = error;
  for (let pauseMs = firstPauseMs; pauseMs !== undefined;) {
    const [attempt, waitMs] = [restarts.failures, pauseMs];
    const when = `restarting the engine in ${formatMs(waitMs)}`;
    events?.info("ENGINE", when, { attempt, waitMs });
    try {
      await sleep(waitMs, signal);
      const info = await load();
      if (signal.aborted) return last;
      const loadMs = Math.round(info.loadMs);
      events?.info("ENGINE", "the engine is loaded again", { loadMs });
      onUp(info);
      return undefined;
    } catch (failure) {
      if (signal.aborted) return last;
      last = ShoalError.from(failure);
      events?.error("ENGINE", last.message, { code: last.code });
      pauseMs = restarts.notLoaded(last);
    }
  }
  return last;
}

function givenUp(failures: number, last: ShoalError): ShoalError {
  return new ShoalError(
    "ENGINE_GIVEN_UP",
    `the engine failed ${failures} times in a row: ${last.message}`,
    { failures, engine: last.code },
    last,
  );
}
