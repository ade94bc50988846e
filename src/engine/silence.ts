/**
 * Whether an engine answers. One that opens nothing for a while and does not compute is silent: its shard counts as missing, until an answer comes or
 * another process replaces it. One that computes is slow: only the session that waits is refused.
 */
import { type EventSink, ShoalError } from "../lib/index.ts";
import type { EngineProcess } from "./engine-process.ts";
import { ENGINE_DEFAULTS } from "./stage-options.ts";

export class Silence {
  readonly #events: EventSink | undefined;
  readonly #listeners = new Set<(silent: boolean) => void>();
  #is = false;

  constructor(events: EventSink | undefined) {
    this.#events = events;
  }

  get is(): boolean {
    return this.#is;
  }

  onChange(listener: (silent: boolean) => void): void {
    this.#listeners.add(listener);
  }

  /** The process is gone, and nobody waits for its answers. */
  forget(): void {
    this.#is = false;
  }

  /**
   * `answer`, or DEADLINE after `silentMs`. The request that is late is the probe, too: its answer ends the silence. If none comes, its
   * timeout replaces the process.
   */
  async unless<T>(engine: EngineProcess, answer: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const { silentMs } = ENGINE_DEFAULTS;
      const { pid, isBusy } = engine;
      const why = isBusy ? ", because it is computing" : "";
      const what = `the engine gave no answer within ${silentMs} ms${why}`;
      late.reject(new ShoalError("DEADLINE", what, { pid }));
      if (isBusy) return;
      this.#tell(true);
      const onSettled = (): void => {
        if (engine.alive) this.#tell(false);
      };
      answer.then(onSettled, onSettled);
    }, ENGINE_DEFAULTS.silentMs);
    try {
      return await Promise.race([answer, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #tell(silent: boolean): void {
    if (silent === this.#is) return;
    this.#is = silent;
    if (silent) this.#events?.warn("ENGINE", "the engine does not answer");
    else this.#events?.info("ENGINE", "the engine answers again");
    for (const listener of this.#listeners) listener(silent);
  }
}
