/**
 * The gateway's side of the pipeline: opens a session at every stage of a route, feeds the prompt in chunks, and yields the tokens that the
 * last stage sends back. Every wait has a deadline, every failure names its stage, and every end frees every stage.
 */
import { randomBytes } from "node:crypto";
import { bytesOf, intsOf, type SamplingOptions } from "../engine/index.ts";
import { reasonOf, ShoalError } from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import {
  Flag,
  type FrameHead,
  FrameType,
  type PipelineFrame,
} from "./frames.ts";
import { type Link, Links } from "./links.ts";
import { layersOf, type RouteStage } from "./route.ts";
import { decodeTimes, type StageTimes } from "./stage-times.ts";

export interface GenerateOptions {
  /** CID of the model's manifest. */
  manifest: string;
  route: readonly RouteStage[];
  /** The prompt, (n). */
  tokens: Int32Array;
  /** The most tokens to generate. */
  maxTokens: number;
  sampling: SamplingOptions;
  /** Tokens per prefill chunk: the smallest limit of the route's stages. */
  chunkTokens: number;
  /** Frees every stage at once. */
  signal: AbortSignal;
  /** Called now and then with where a stage's time goes. */
  onTimes?: ((stage: number, times: StageTimes) => void) | undefined;
}

export interface GeneratedToken {
  token: number;
  position: number;
  /** Set on the last token: the model ended the text (the token has none), or `maxTokens` was reached. */
  finish?: "stop" | "length";
}

const PIPELINE_DEFAULTS = Object.freeze({
  /** Time for all stages to reserve a sequence and reach their neighbours. Above the stages' own 5 s, so that their error comes first. */
  openTimeoutMs: 8_000,
  /** Between two signs of life of the pipeline. Above an engine's 60 s for one decode, so that the stage's own error names it. */
  progressTimeoutMs: 75_000,
});

/** One session as the gateway sees it: a queue that frames fill and `generate` empties. */
class Session {
  readonly id = randomBytes(16).toString("hex");
  readonly options: GenerateOptions;
  opened = 0;
  #queue: PipelineFrame[] = [];
  #error: ShoalError | undefined;
  #wake: (() => void) | undefined;

  constructor(options: GenerateOptions) {
    this.options = options;
  }

  push(frame: PipelineFrame): void {
    this.#queue.push(frame);
    this.#wake?.();
  }

  fail(error: ShoalError): void {
    this.#error ??= error;
    this.#wake?.();
  }

  /** The next frame; throws the session's error, or DEADLINE. Frames that came before a failure come first. */
  async next(timeoutMs: number, what: string): Promise<PipelineFrame> {
    if (this.#queue.length === 0 && this.#error === undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          this.#error ??= new ShoalError(
            "DEADLINE",
            `${what}: nothing arrived within ${timeoutMs} ms`,
            { timeoutMs },
          );
          resolve();
        }, timeoutMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    const frame = this.#queue.shift();
    if (frame !== undefined) return frame;
    throw (
      this.#error ??
      new ShoalError("INTERNAL", "session woke without a frame or an error")
    );
  }
}

export class Pipeline {
  #links: Links;
  #sessions = new Map<string, Session>();
  #openTimeoutMs: number;
  #progressTimeoutMs: number;

  constructor(
    host: Host,
    options: { openTimeoutMs?: number; progressTimeoutMs?: number } = {},
  ) {
    this.#openTimeoutMs =
      options.openTimeoutMs ?? PIPELINE_DEFAULTS.openTimeoutMs;
    this.#progressTimeoutMs =
      options.progressTimeoutMs ?? PIPELINE_DEFAULTS.progressTimeoutMs;
    this.#links = new Links({
      host,
      onFrame: (frame, from) => this.#onFrame(frame, from),
      onLost: (peer, error) => this.#onLost(peer, error),
    });
  }

  get activeSessions(): number {
    return this.#sessions.size;
  }

  /** Throws BUSY, STAGE_LOST, STAGE_FAILED, CONTEXT_EXCEEDED, DEADLINE, or the signal's reason. */
  async *generate(
    options: GenerateOptions,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const session = new Session(options);
    const links: Link[] = [];
    const onAbort = (): void =>
      session.fail(ShoalError.from(reasonOf(options.signal)));
    if (options.signal.aborted) throw reasonOf(options.signal);
    options.signal.addEventListener("abort", onAbort, { once: true });
    this.#sessions.set(session.id, session);
    try {
      await this.#open(session, links);
      yield* this.#run(session, links);
    } finally {
      options.signal.removeEventListener("abort", onAbort);
      this.#sessions.delete(session.id);
      for (const [stage, link] of links.entries())
        link.send(head(session, FrameType.Close, stage));
    }
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions.values())
      session.fail(new ShoalError("ABORTED", "the gateway is stopping"));
    await this.#links.stop();
  }

  async #open(session: Session, links: Link[]): Promise<void> {
    const { manifest, route, tokens, maxTokens, sampling } = session.options;
    const body = {
      manifest,
      route: [...route],
      promptTokens: tokens.length,
      maxTokens,
      sampling,
    };
    const open = Buffer.from(JSON.stringify(body));
    const dialled = route.map(async (stage, index) => {
      try {
        return await this.#links.to(
          stage.peer,
          stage.addresses,
          this.#openTimeoutMs,
        );
      } catch (error) {
        throw lost(index, stage, ShoalError.from(error));
      }
    });
    links.push(...(await Promise.all(dialled)));
    for (const [stage, link] of links.entries())
      link.send(head(session, FrameType.Open, stage), open);
    const ready = new Set<number>();
    while (ready.size < route.length) {
      const missing = route.flatMap((stage, index) =>
        ready.has(index)
          ? []
          : [`stage ${index} (${layersOf(stage)}, peer ${stage.peer})`],
      );
      const frame = await session.next(
        this.#openTimeoutMs,
        `opening a session at ${missing.join(", ")}`,
      );
      if (frame.type === FrameType.Opened) ready.add(frame.stage);
    }
  }

  async *#run(
    session: Session,
    links: readonly Link[],
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const { tokens, chunkTokens, route } = session.options;
    let sent = 0;
    const sendChunk = (): void => {
      const chunk = tokens.subarray(sent, sent + chunkTokens);
      const flags = sent + chunk.length === tokens.length ? Flag.Sample : 0;
      links[0]?.send(
        {
          ...head(session, FrameType.Prompt, 0),
          flags,
          position: sent,
          count: chunk.length,
        },
        bytesOf(chunk),
      );
      sent += chunk.length;
    };
    // One chunk at each stage and one in flight: enough to keep all busy, and a bound on what waits anywhere.
    for (let i = 0; i <= route.length && sent < tokens.length; i++) sendChunk();
    for (let position = tokens.length; ;) {
      const frame = await session.next(
        this.#progressTimeoutMs,
        `waiting for the pipeline (${describe(route)})`,
      );
      if (frame.type === FrameType.Prefilled && sent < tokens.length)
        sendChunk();
      if (frame.type !== FrameType.Token) continue;
      if (frame.position !== position) {
        throw new ShoalError(
          "STAGE_FAILED",
          `the last stage sent the token of position ${frame.position}, expected ${position}`,
        );
      }
      const [token = 0] = intsOf(frame.body);
      if ((frame.flags & Flag.Stop) !== 0)
        yield { token, position, finish: "stop" };
      else if ((frame.flags & Flag.Length) !== 0)
        yield { token, position, finish: "length" };
      else yield { token, position };
      if ((frame.flags & (Flag.Stop | Flag.Length)) !== 0) return;
      position++;
    }
  }

  #onFrame(frame: PipelineFrame, from: Link): void {
    const session = this.#sessions.get(frame.session);
    if (session === undefined) return;
    const { route } = session.options;
    if (route[frame.stage]?.peer !== from.peer) return; // not that stage's peer: it has no say in this session
    if (frame.type === FrameType.Error) {
      session.fail(ShoalError.fromObject(parseError(frame.body)));
    } else if (frame.type === FrameType.Times) {
      session.options.onTimes?.(frame.stage, decodeTimes(frame.body));
    } else if (
      frame.type === FrameType.Opened ||
      frame.stage === route.length - 1
    ) {
      session.push(frame);
    }
  }

  #onLost(peer: string, error: ShoalError): void {
    for (const session of this.#sessions.values()) {
      const index = session.options.route.findIndex(
        (stage) => stage.peer === peer,
      );
      const stage = session.options.route[index];
      if (stage !== undefined) session.fail(lost(index, stage, error));
    }
  }
}

function head(session: Session, type: FrameType, stage: number): FrameHead {
  return {
    type,
    flags: 0,
    stage,
    position: 0,
    count: 0,
    elapsedUs: 0,
    session: session.id,
  };
}

function lost(index: number, stage: RouteStage, error: ShoalError): ShoalError {
  const details = { stage: index, peer: stage.peer };
  return new ShoalError(
    "STAGE_LOST",
    `stage ${index} (${layersOf(stage)}) was lost: ${error.message}`,
    details,
    error,
  );
}

function describe(route: readonly RouteStage[]): string {
  return route
    .map((stage, index) => `stage ${index}: ${layersOf(stage)}`)
    .join("; ");
}

function parseError(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    return {
      code: "STAGE_FAILED",
      message: "a stage sent an error that is not JSON",
    };
  }
}
