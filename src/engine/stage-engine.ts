/**
 * A loaded shard as the rest of Shoal sees it: an engine process that is started, loaded and dry-run, and started again with back-off when
 * it dies. Sessions do not survive a restart; `onDown` reports it.
 */
import { ShoalError } from "../lib/index.ts";
import {
  type EngineEvent,
  bytesOf,
  floatsOf,
  type Frame,
  intsOf,
  Kind,
  Op,
  type Target,
  Want,
} from "./channel.ts";
import type { AdoptRequest, LoadStageRequest, StageInfo } from "./child.ts";
import { EngineHost } from "./engine-host.ts";
import type { EngineProcess, RequestOptions } from "./engine-process.ts";
import type { KeptFacts } from "./kept-files.ts";
import type { OpenedSession } from "./loop.ts";
import type { DialRequest, ExpectRequest } from "./ring-links.ts";
import type { WrittenSession } from "./session-record.ts";
import type { SessionRequest } from "./session-request.ts";
import type { SamplingOptions } from "./sampling.ts";
import { Restarts } from "./restarts.ts";
import { Silence } from "./silence.ts";
import { supervise } from "./supervise.ts";
import {
  ENGINE_DEFAULTS,
  defaultThreads,
  type StageEngineOptions,
} from "./stage-options.ts";

export type DecodeResult =
  /** (n, n_embd) of a stage that is not the last. */
  | { kind: "activations"; bytes: Uint8Array }
  | { kind: "token"; token: number; endOfGeneration: boolean }
  /** (n_vocab) after the last token. */
  | { kind: "logits"; logits: Float32Array }
  | { kind: "nothing" };

/** What comes out of an engine with sessions. */
export interface SessionListener {
  /** A frame that leaves through the node. It stays valid. */
  onFrame(handle: number, target: Target, frame: Uint8Array): void;
  onEvent(event: EngineEvent): void;
}

/** What a session's stage has to know, but for the stage's number in its process. */
export type SessionAtStage = Omit<SessionRequest, "stage">;

export class StageEngine implements AsyncDisposable {
  #options: StageEngineOptions &
    Required<Pick<StageEngineOptions, "sessions" | "batchTokens" | "threads">>;
  readonly #host: EngineHost;
  /** Its number in the process. */
  readonly #stage: number;
  #process: EngineProcess | undefined;
  #info: StageInfo | undefined;
  #stopping = new AbortController();
  #down = new Set<(error: ShoalError) => void>();
  #up = new Set<(info: StageInfo) => void>();
  #givenUp = new Set<(error: ShoalError) => void>();
  readonly #silence: Silence;
  #supervision: Promise<void> = Promise.resolve();
  #listener: SessionListener | undefined;
  #handles = new Set<number>();
  #watch: NodeJS.Timeout | undefined;
  #isAsked = false;

  constructor(options: StageEngineOptions) {
    const { sessions, batchTokens } = ENGINE_DEFAULTS;
    this.#options = {
      sessions,
      batchTokens,
      threads: defaultThreads(),
      ...options,
    };
    this.#silence = new Silence(options.events);
    this.#host = options.host ?? new EngineHost();
    this.#stage = this.#host.attach((frame) => this.#onMessage(frame));
  }

  /** Both are computed by one process. */
  sharesProcessWith(other: StageEngine): boolean {
    return this.#host === other.#host;
  }

  /** The loaded shard; undefined while the engine is down. */
  get info(): StageInfo | undefined {
    return this.#info;
  }

  /** It lives and does not compute, but a sequence waits to be opened for longer than `silentMs`. */
  get silent(): boolean {
    return this.#silence.is;
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
    this.#supervision = supervise({
      exited: () => this.#process?.exited ?? Promise.resolve(isDown()),
      load: () => this.#load(),
      onDown: (error) => this.#onDied(error),
      onUp: (loaded) => {
        for (const listener of this.#up) listener(loaded);
      },
      onGivenUp: (error) => {
        this.#options.events?.error("ENGINE", error.message, {
          code: error.code,
        });
        for (const listener of this.#givenUp) listener(error);
      },
      restarts: new Restarts(this.#options.restarts),
      events: this.#options.events,
      signal: this.#stopping.signal,
    });
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

  /** Called when it failed so often in a row that it is not loaded any more. */
  onGivenUp(listener: (error: ShoalError) => void): void {
    this.#givenUp.add(listener);
  }

  /** Called when the engine becomes silent, and when it answers again. A silent engine that dies is down: `onDown` and `onUp` follow. */
  onSilence(listener: (silent: boolean) => void): void {
    this.#silence.onChange(listener);
  }

  /** Gets what the sessions send. */
  listen(listener: SessionListener): void {
    this.#listener = listener;
  }

  /** Takes a session's frames from now on; says what it may take over from earlier ones. Throws DEADLINE if the engine is silent. */
  async openSession(request: SessionAtStage): Promise<OpenedSession> {
    const engine = this.#engine();
    const given: SessionRequest = { ...request, stage: this.#stage };
    const how = this.#control();
    const open = Op.OpenSession;
    const answer = engine.requestJson<OpenedSession>(open, given, how);
    this.#handles.add(request.handle);
    this.#watch ??= setInterval(
      () => this.#ask(),
      ENGINE_DEFAULTS.watchMs,
    ).unref();
    return await this.#silence.unless(engine, answer);
  }

  /** Ends a session and frees its sequence. */
  async closeSession(handle: number): Promise<void> {
    this.#handles.delete(handle);
    if (this.#handles.size === 0) this.#unwatch();
    const how = this.#control();
    await this.#engine().requestJson(Op.CloseSession, { handle }, how);
  }

  /** Writes what a running session has so far, between two of its decodes. Throws STAGE_FAILED if it is not to be had. */
  async writeSession(handle: number): Promise<WrittenSession> {
    const how = this.#control();
    return await this.#engine().requestJson(Op.WriteSession, { handle }, how);
  }

  /** Takes a state that another node handed over, at a path of `keptPath`, which was found to be as `facts` say. */
  async adoptSession(path: string, facts: KeptFacts): Promise<void> {
    const given: AdoptRequest = { stage: this.#stage, path, facts };
    await this.#engine().requestJson(Op.AdoptSession, given, this.#control());
  }

  /** A session's frame from the gateway or a neighbour. */
  sendFrame(handle: number, frame: Uint8Array): void {
    if (this.#info !== undefined) this.#process?.post(Op.Frame, handle, frame);
  }

  /** Waits for a data connection from a neighbour's engine; the port it has to come to. Throws RING_UNREACHABLE, or DEADLINE if the engine is silent. */
  async expectConnection(request: ExpectRequest): Promise<number> {
    const engine = this.#engine();
    const answer = engine.requestJson<{ port: number }>(
      Op.ExpectConnection,
      request,
      this.#control(),
    );
    return (await this.#silence.unless(engine, answer)).port;
  }

  /** Makes a data connection to a neighbour's engine; an event of the link tells the outcome. */
  async dialConnection(request: DialRequest): Promise<void> {
    const how = this.#control();
    await this.#engine().requestJson(Op.DialConnection, request, how);
  }

  /** Ends a link's data connections: its frames go through the nodes, those that may be lost again. */
  async cutLink(link: number): Promise<void> {
    const how = this.#control();
    await this.#engine().requestJson(Op.CutLink, { link }, how);
  }

  /** Makes `sequence` ready for decodes one by one; the last stage needs `sampling` to draw tokens. Throws DEADLINE if the engine is silent. */
  async openSequence(
    sequence: number,
    sampling: SamplingOptions | undefined,
  ): Promise<void> {
    const parts = [bytesOf(Uint32Array.of(this.#stage, sequence))];
    if (sampling !== undefined)
      parts.push(new TextEncoder().encode(JSON.stringify(sampling)));
    const engine = this.#engine();
    const answer = engine.request(Op.OpenSequence, parts, this.#control());
    await this.#silence.unless(engine, answer);
  }

  async freeSequence(sequence: number): Promise<void> {
    await this.#engine().request(
      Op.FreeSequence,
      [bytesOf(Uint32Array.of(this.#stage, sequence))],
      this.#control(),
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
      Uint32Array.of(this.#stage, sequence, position, tokens.length, want),
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
    const engine = this.#engine();
    const answer = engine.requestJson<{ rssBytes: number }>(
      Op.Memory,
      {},
      this.#control(),
    );
    return (await answer).rssBytes;
  }

  async stop(): Promise<void> {
    this.#unwatch();
    this.#stopping.abort();
    await this.#host.detach(this.#stage);
    await this.#supervision;
    this.#info = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** An engine that decodes for longer than any decode may take is ended by this request's deadline, one that hangs sooner. */
  #ask(): void {
    const engine = this.#process;
    if (this.#isAsked || engine === undefined) return;
    this.#isAsked = true;
    const onSettled = (): void => void (this.#isAsked = false);
    const how = {
      ...this.#control(),
      timeoutMs: ENGINE_DEFAULTS.decodeTimeoutMs,
    };
    engine.requestJson(Op.Memory, {}, how).then(onSettled, onSettled); // its end is told by itself
  }

  /** What waits at most behind a decode. A graphics card computes without the processor. */
  #control(): RequestOptions {
    const timeoutMs = ENGINE_DEFAULTS.controlTimeoutMs;
    return {
      timeoutMs,
      takesOnlyCpu: this.#info?.device.startsWith("CPU") === true,
    };
  }

  #unwatch(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  #onMessage({ op, id, body }: Frame): void {
    if (op === Kind.Event) {
      const event = JSON.parse(Buffer.from(body).toString()) as EngineEvent;
      if (event.type !== "stats" || event.stage === this.#stage)
        this.#listener?.onEvent(event);
    } else
      this.#listener?.onFrame(id, (body[0] ?? 0) as Target, body.subarray(4));
  }

  #engine(): EngineProcess {
    if (this.#process === undefined || this.#info === undefined) throw isDown();
    return this.#process;
  }

  async #load(): Promise<StageInfo> {
    const {
      events: _,
      host: __,
      restarts: ___,
      onProgress,
      ...options
    } = this.#options;
    const request = { ...options, stage: this.#stage };
    const child = this.#host.running(this.#stage);
    this.#process = child;
    try {
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
      await this.#host.unload(this.#stage);
      this.#process = undefined;
      throw error;
    }
  }

  #onDied(error: ShoalError): void {
    this.#info = undefined;
    this.#silence.forget();
    this.#handles.clear();
    this.#unwatch();
    for (const listener of this.#down) listener(error);
  }
}

function isDown(): ShoalError {
  return new ShoalError(
    "ENGINE_DIED",
    "the engine is down and is being restarted",
  );
}
