/**
 * A loaded shard as the rest of Shoal sees it: an engine process that is started, loaded and dry-run, and started again with back-off when
 * it dies. Sessions do not survive a restart; `onDown` reports it.
 */
import { availableParallelism } from "node:os";
import { backoffMs, type EventSink, ShoalError, sleep } from "../lib/index.ts";
import { bytesOf, floatsOf, intsOf, Op, Want } from "./channel.ts";
import type { LoadStageRequest, StageInfo } from "./child.ts";
import { EngineProcess } from "./engine-process.ts";
import type { Backend } from "./libraries.ts";
import type { SamplingOptions } from "./sampling.ts";

export interface StageEngineOptions {
  /** The shard's (or a whole model's) GGUF. */
  path: string;
  /** Tokens of one session. */
  contextLength: number;
  sessions?: number;
  batchTokens?: number;
  threads?: number;
  /** What computes, as in StageOptions. */
  backend?: Backend;
  device?: string;
  gpuLayers?: number;
  events?: EventSink;
  onProgress?: (fraction: number) => void;
}

export const ENGINE_DEFAULTS = Object.freeze({
  /** Sessions at once, each with its own KV memory. */
  sessions: 4,
  /** Tokens per prefill chunk: enough to use the matrix kernels, short enough that decodes of others pass between. */
  batchTokens: 128,
  /** A load without any progress for this long has failed. */
  loadTimeoutMs: 120_000,
  /** One decode of a chunk. A slow machine takes seconds, a stuck one never finishes. */
  decodeTimeoutMs: 60_000,
  /** An engine that has not opened a sequence by then counts as silent. Below the gateway's wait (pipeline.ts), so that the error names the stage. */
  silentMs: 6_000,
  /** Opening and freeing sequences waits at most behind one decode. */
  controlTimeoutMs: 65_000,
});

/** Threads for one of `engines` engines on this machine: they share the cores, because spinning threads on busy cores stall each other. */
export function defaultThreads(engines = 1): number {
  return Math.max(
    1,
    Math.floor(availableParallelism() / (engines * (engines > 1 ? 1 : 2))),
  );
}

export type DecodeResult =
  /** (n, n_embd) of a stage that is not the last. */
  | { kind: "activations"; bytes: Uint8Array }
  | { kind: "token"; token: number; endOfGeneration: boolean }
  /** (n_vocab) after the last token. */
  | { kind: "logits"; logits: Float32Array }
  | { kind: "nothing" };

export class StageEngine implements AsyncDisposable {
  #options: StageEngineOptions &
    Required<Pick<StageEngineOptions, "sessions" | "batchTokens" | "threads">>;
  #process: EngineProcess | undefined;
  #info: StageInfo | undefined;
  #stopping = new AbortController();
  #down = new Set<(error: ShoalError) => void>();
  #up = new Set<(info: StageInfo) => void>();
  #silent = false;
  #silence = new Set<(silent: boolean) => void>();
  #supervision: Promise<void> = Promise.resolve();

  constructor(options: StageEngineOptions) {
    const { sessions, batchTokens } = ENGINE_DEFAULTS;
    this.#options = {
      sessions,
      batchTokens,
      threads: defaultThreads(),
      ...options,
    };
  }

  /** The loaded shard; undefined while the engine is down. */
  get info(): StageInfo | undefined {
    return this.#info;
  }

  /** It lives, but a sequence waits to be opened for longer than `silentMs`. */
  get silent(): boolean {
    return this.#silent;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get sessions(): number {
    return this.#options.sessions;
  }

  get batchTokens(): number {
    return this.#options.batchTokens;
  }

  /** Starts, loads and dry-runs. Rejects if this first load fails; afterwards the engine is kept alive until `stop`. */
  async start(): Promise<StageInfo> {
    const info = await this.#load();
    this.#supervision = this.#supervise();
    return info;
  }

  /** Called when the engine is gone (all its sessions with it). Returns the function that unsubscribes. */
  onDown(listener: (error: ShoalError) => void): () => void {
    this.#down.add(listener);
    return () => this.#down.delete(listener);
  }

  /** Called when the engine is loaded again. */
  onUp(listener: (info: StageInfo) => void): () => void {
    this.#up.add(listener);
    return () => this.#up.delete(listener);
  }

  /** Called when the engine becomes silent, and when it answers again. A silent engine that dies is down: `onDown` and `onUp` follow. */
  onSilence(listener: (silent: boolean) => void): void {
    this.#silence.add(listener);
  }

  /** Makes `sequence` ready for a new session; the last stage needs `sampling` to draw tokens. Throws DEADLINE if the engine is silent. */
  async openSequence(
    sequence: number,
    sampling: SamplingOptions | undefined,
  ): Promise<void> {
    const parts: Uint8Array[] = [bytesOf(Uint32Array.of(sequence))];
    if (sampling !== undefined)
      parts.push(Buffer.from(JSON.stringify(sampling)));
    const engine = this.#engine();
    const answer = engine.request(Op.OpenSequence, parts, {
      timeoutMs: ENGINE_DEFAULTS.controlTimeoutMs,
    });
    await this.#unlessSilent(engine, answer);
  }

  async freeSequence(sequence: number): Promise<void> {
    await this.#engine().request(
      Op.FreeSequence,
      [bytesOf(Uint32Array.of(sequence))],
      {
        timeoutMs: ENGINE_DEFAULTS.controlTimeoutMs,
      },
    );
  }

  /**
   * Decodes `tokens` (n) at `position`. `activations`, (n, n_embd) f32 as bytes, are the input of every stage but the first.
   * `want` counts on the last stage only. Throws what Stage.decode throws, or ENGINE_DIED.
   */
  async decode(
    sequence: number,
    position: number,
    tokens: Int32Array,
    activations: Uint8Array | undefined,
    want: Want,
  ): Promise<DecodeResult> {
    const head = bytesOf(
      Uint32Array.of(sequence, position, tokens.length, want),
    );
    const parts =
      activations === undefined
        ? [head, bytesOf(tokens)]
        : [head, bytesOf(tokens), activations];
    const body = await this.#engine().request(Op.Decode, parts, {
      timeoutMs: ENGINE_DEFAULTS.decodeTimeoutMs,
    });
    if (this.#info?.isLast === false)
      return { kind: "activations", bytes: body };
    switch (want) {
      case Want.Nothing:
        return { kind: "nothing" };
      case Want.Logits:
        return { kind: "logits", logits: floatsOf(body) };
      case Want.Token: {
        const [token = -1, end = 0] = intsOf(body);
        return { kind: "token", token, endOfGeneration: end === 1 };
      }
      default:
        return want satisfies never;
    }
  }

  /** Resident memory of the engine's process now. */
  async memoryBytes(): Promise<number> {
    const options = { timeoutMs: ENGINE_DEFAULTS.controlTimeoutMs };
    return (
      await this.#engine().requestJson<{ rssBytes: number }>(
        Op.Memory,
        {},
        options,
      )
    ).rssBytes;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#process?.stop();
    await this.#supervision;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** The request that is late is the probe, too: its answer ends the silence. If none comes, its timeout replaces the process. */
  async #unlessSilent(
    engine: EngineProcess,
    answer: Promise<unknown>,
  ): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      this.#tellSilence(true);
      const onSettled = (): void => {
        if (engine.alive) this.#tellSilence(false);
      };
      answer.then(onSettled, onSettled);
      const { silentMs } = ENGINE_DEFAULTS;
      const what = `the engine gave no answer within ${silentMs} ms`;
      late.reject(new ShoalError("DEADLINE", what, { pid: engine.pid }));
    }, ENGINE_DEFAULTS.silentMs);
    try {
      await Promise.race([answer, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #tellSilence(silent: boolean): void {
    if (silent === this.#silent) return;
    this.#silent = silent;
    const { events } = this.#options;
    if (silent) events?.warn("ENGINE", "the engine does not answer");
    else events?.info("ENGINE", "the engine answers again");
    for (const listener of this.#silence) listener(silent);
  }

  #engine(): EngineProcess {
    if (this.#process === undefined || this.#info === undefined) {
      throw new ShoalError(
        "ENGINE_DIED",
        "the engine is down and is being restarted",
      );
    }
    return this.#process;
  }

  async #load(): Promise<StageInfo> {
    const child = new EngineProcess();
    this.#process = child;
    try {
      const { events: _, onProgress, ...request } = this.#options;
      this.#info = await child.requestJson<StageInfo>(
        Op.LoadStage,
        request satisfies LoadStageRequest,
        {
          timeoutMs: ENGINE_DEFAULTS.loadTimeoutMs,
          ...(onProgress === undefined ? {} : { onProgress }),
        },
      );
      return this.#info;
    } catch (error) {
      await child.stop();
      this.#process = undefined;
      throw error;
    }
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stopping;
    for (let attempt = 0; ;) {
      const startedMs = performance.now();
      const error = await (this.#process?.exited ??
        Promise.resolve(
          new ShoalError("ENGINE_DIED", "the engine did not start"),
        ));
      this.#info = undefined;
      this.#silent = false;
      if (signal.aborted) return;
      if (performance.now() - startedMs > 60_000) attempt = 0; // it ran well for a while, so this is not the same fault again
      this.#options.events?.error("ENGINE", error.message, {
        code: error.code,
      });
      for (const listener of this.#down) listener(error);
      for (;;) {
        const waitMs = backoffMs(attempt++, { initialMs: 200, maxMs: 30_000 });
        this.#options.events?.info(
          "ENGINE",
          `restarting the engine in ${waitMs} ms`,
          { attempt, waitMs },
        );
        try {
          await sleep(waitMs, signal);
          const info = await this.#load();
          if (signal.aborted) return;
          this.#options.events?.info("ENGINE", "the engine is loaded again", {
            loadMs: Math.round(info.loadMs),
          });
          for (const listener of this.#up) listener(info);
          break;
        } catch (failure) {
          if (signal.aborted) return;
          this.#options.events?.error(
            "ENGINE",
            ShoalError.from(failure).message,
            { code: ShoalError.from(failure).code },
          );
        }
      }
    }
  }
}
