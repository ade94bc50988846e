/**
 * The gateway's side of the pipeline: opens a session at every stage of a route, feeds the prompt in chunks, and yields the tokens that the
 * last stage sends back. Every wait has a deadline, every failure names its stage, and every end frees every stage.
 */
import { bytesOf, samplingFor, type SamplingOptions } from "../engine/index.ts";
import {
  abortable,
  type ComputeMode,
  COMPUTE_MODE_DEFAULTS,
  isShoalError,
  reasonOf,
  ShoalError,
} from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import {
  decodeEmbedding,
  decodeTimes,
  decodeToken,
  Flag,
  FrameType,
  type PipelineFrame,
  type StageTimes,
  type TokenBody,
} from "../ring/index.ts";
import {
  describe,
  GatewaySession,
  lost,
  parseError,
} from "./gateway-session.ts";
import { type Link, Links } from "./links.ts";
import { type OpenBody, type OpenedBody, parseOpened } from "./open.ts";
import { prefillChunks } from "./prefill.ts";
import { planResume } from "./resume.ts";
import { layersOf, type RouteStage } from "./route.ts";

export interface GenerateOptions {
  /** Its id, of `newSessionId`; default: a new one. */
  session?: string;
  /** CID of the model's manifest. */
  manifest: string;
  route: readonly RouteStage[];
  /** The prompt, (n). */
  tokens: Int32Array;
  /**
   * What a session that was lost had generated after the prompt: computed again, one by one as it was, so that the same bits come out; not
   * yielded again.
   */
  generated?: readonly number[];
  /** The most tokens to generate, those of a lost session included. */
  maxTokens: number;
  sampling: SamplingOptions;
  /** The prompt's embedding is all that is wanted. */
  embeds?: boolean | undefined;
  /** What the last generated token came with. */
  mu?: number | undefined;
  /** Of the cluster; default: COMPUTE_MODE_DEFAULTS. */
  mode?: ComputeMode;
  /** Frees every stage at once. */
  signal: AbortSignal;
  /** Called when the stages are ready: how many of the prompt's tokens none of them has to compute. */
  onResumed?: ((cachedTokens: number) => void) | undefined;
  /** Called now and then with where a stage's time goes. */
  onTimes?: ((stage: number, times: StageTimes) => void) | undefined;
}

export interface GeneratedToken extends TokenBody {
  position: number;
  /** Where it was asked for, instead of a token. */
  embedding?: Float32Array;
  /** Set on the last token: the model ended the text (the token has none), or `maxTokens` was reached. */
  finish?: "stop" | "length";
}

const PIPELINE_DEFAULTS = Object.freeze({
  /** Time for all stages to reserve a sequence and reach their neighbours. Above the stages' own 5 s, so that their error comes first. */
  openTimeoutMs: 8_000,
  /** Tokens that may be on their way here: a reader that is slow or gone stops the stages no sooner. */
  creditTokens: 64,
  /** Between two signs of life of the pipeline. Above an engine's 60 s for one decode, so that the stage's own error names it. */
  progressTimeoutMs: 75_000,
});

const FROM_ANY_STAGE: ReadonlySet<number> = new Set([
  FrameType.Opened,
  FrameType.Resumed,
  FrameType.Prefilled,
]);

interface Chunk {
  position: number;
  count: number;
}

const NO_TOKEN = -1;
const NO_BYTES = new Uint8Array();
const NO_CHUNK: Chunk = Object.freeze({ position: 0, count: 0 });

export class Pipeline {
  #links: Links;
  #sessions = new Map<string, GatewaySession>();
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
    const session = new GatewaySession(options);
    const links: Link[] = [];
    const onAbort = (): void =>
      session.fail(ShoalError.from(reasonOf(options.signal)));
    if (options.signal.aborted) throw reasonOf(options.signal);
    options.signal.addEventListener("abort", onAbort, { once: true });
    this.#sessions.set(session.id, session);
    try {
      const opened = await this.#open(session, links);
      yield* this.#run(session, links, opened);
    } finally {
      options.signal.removeEventListener("abort", onAbort);
      this.#sessions.delete(session.id);
      for (const [stage, link] of links.entries())
        link.send(session.head(FrameType.Close, stage));
    }
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions.values())
      session.fail(new ShoalError("ABORTED", "the gateway is stopping"));
    await this.#links.stop();
  }

  /** What each stage said of itself. */
  async #open(session: GatewaySession, links: Link[]): Promise<OpenedBody[]> {
    const { manifest, route, tokens, maxTokens, sampling, mu, mode, embeds } =
      session.options;
    const generated = session.options.generated?.length ?? 0;
    const body = {
      manifest,
      route: [...route],
      promptTokens: tokens.length,
      maxTokens,
      credit: generated + PIPELINE_DEFAULTS.creditTokens,
      embeds,
      ...mode,
    } satisfies Omit<OpenBody, "sampling">;
    const [open, openLast] = [false, true].map((isLast) => {
      const own = { sampling: samplingFor(sampling, isLast), mu };
      return Buffer.from(JSON.stringify({ ...body, ...own }));
    });
    const known = bytesOf(session.known);
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
    links.push(
      ...(await abortable(Promise.all(dialled), session.options.signal)),
    );
    for (const [stage, link] of links.entries())
      link.send(
        { ...session.head(FrameType.Open, stage), count: session.known.length },
        known,
        (stage === route.length - 1 ? openLast : open) ?? NO_BYTES,
      );
    const ready = new Map<number, OpenedBody>();
    while (ready.size < route.length) {
      const missing = route.flatMap((stage, index) =>
        ready.has(index)
          ? []
          : [`stage ${index} (${layersOf(stage)}, peer ${stage.peer})`],
      );
      const frame = await session
        .next(this.#openTimeoutMs, `opening a session at ${missing.join(", ")}`)
        .catch((error: unknown) => {
          throw this.#silent(error, route, ready);
        });
      if (frame.type === FrameType.Opened)
        ready.set(frame.stage, parseOpened(frame));
    }
    return route.flatMap((_, stage) => ready.get(stage) ?? []);
  }

  /** Lets each stage go on from what it has, and feeds what is missing up to the last chunk, after which the last stage samples. */
  async #feed(
    session: GatewaySession,
    links: readonly Link[],
    opened: readonly OpenedBody[],
  ): Promise<void> {
    const { known, options } = session;
    const { tokens, generated = [], mode = COMPUTE_MODE_DEFAULTS } = options;
    const kept = opened.map((stage) => stage.kept);
    const { length } = tokens;
    const plan = planResume(kept, length, known.length, mode);
    await this.#resume(session, links, plan.from);
    options.onResumed?.(Math.min(length, ...plan.from));
    const chunks = prefillChunks(length, opened, mode.kv, plan.from);
    for (let i = 0; i < generated.length; i++) chunks.push(1);
    const within = (from: number, to: number): Chunk[] =>
      positionsOf(chunks).filter(
        (chunk) => chunk.position >= from && chunk.position < to,
      );
    for (const { stage, from, to } of plan.replays)
      await this.#pass(session, within(from, to), 0, (chunk) =>
        links[stage]?.send({
          ...session.head(FrameType.Replay, stage),
          ...chunk,
        }),
      );
    const [from = 0] = plan.from;
    const send = (chunk: Chunk): void => {
      const end = chunk.position + chunk.count;
      const flags = end === known.length ? Flag.Sample : 0;
      const body = bytesOf(known.subarray(chunk.position, end));
      const head = session.head(FrameType.Prompt, 0);
      links[0]?.send({ ...head, ...chunk, flags }, body);
    };
    await this.#pass(session, within(from, known.length), 1, send);
  }

  /** Sends chunks until all but `left` have come through. */
  async #pass(
    session: GatewaySession,
    chunks: readonly Chunk[],
    left: number,
    send: (chunk: Chunk) => void,
  ): Promise<void> {
    // One chunk at each stage and one in flight: enough to keep all busy, and a bound on what waits anywhere.
    const most = session.options.route.length + 1;
    let sent = 0;
    for (let passed = 0; passed < chunks.length - left;) {
      while (sent < chunks.length && sent - passed < most)
        send(chunks[sent++] ?? NO_CHUNK);
      const frame = await this.#next(session);
      if (frame.type === FrameType.Prefilled) passed++;
    }
    while (sent < chunks.length) send(chunks[sent++] ?? NO_CHUNK);
  }

  async #resume(
    session: GatewaySession,
    links: readonly Link[],
    from: readonly number[],
  ): Promise<void> {
    if (from.every((position) => position === 0)) return;
    for (const [stage, link] of links.entries())
      link.send({
        ...session.head(FrameType.Resume, stage),
        position: from[stage] ?? 0,
        count: from[stage + 1] ?? 0,
      });
    for (let resumed = 0; resumed < from.length;) {
      const frame = await this.#next(session);
      if (frame.type === FrameType.Resumed) resumed++;
    }
  }

  async #next(session: GatewaySession): Promise<PipelineFrame> {
    const { route } = session.options;
    return await session.next(
      this.#progressTimeoutMs,
      `waiting for the pipeline (${describe(route)})`,
    );
  }

  async *#run(
    session: GatewaySession,
    links: readonly Link[],
    opened: readonly OpenedBody[],
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const { tokens, route, sampling } = session.options;
    const { creditTokens } = PIPELINE_DEFAULTS;
    const { mirostat, temperature, logprobs } = sampling;
    const asked = {
      hasMu: mirostat > 0 && temperature > 0,
      likeliest: logprobs,
    };
    await this.#feed(session, links, opened);
    if (session.options.embeds === true) {
      yield await this.#embedding(session);
      return;
    }
    for (let position = session.known.length; ;) {
      const frame = await this.#next(session);
      if (frame.type !== FrameType.Token) continue;
      if (frame.position !== position) {
        throw new ShoalError(
          "STAGE_FAILED",
          `the last stage sent the token of position ${frame.position}, expected ${position}`,
        );
      }
      const token = { ...decodeToken(frame.body, asked), position };
      if ((frame.flags & Flag.Stop) !== 0) yield { ...token, finish: "stop" };
      else if ((frame.flags & Flag.Length) !== 0)
        yield { ...token, finish: "length" };
      else yield token;
      if ((frame.flags & (Flag.Stop | Flag.Length)) !== 0) return;
      position++;
      // The reader took one more: half of the credit is given again before all of it is used.
      const read = position - tokens.length;
      if (read % (creditTokens / 2) === 0)
        links.at(-1)?.send({
          ...session.head(FrameType.Credit, route.length - 1),
          count: read + creditTokens,
        });
    }
  }

  /** Throws STAGE_FAILED where the last stage has another answer: it is of an older version. */
  async #embedding(session: GatewaySession): Promise<GeneratedToken> {
    for (;;) {
      const { type, body, position } = await this.#next(session);
      if (type === FrameType.Embedding)
        return {
          token: NO_TOKEN,
          position,
          embedding: decodeEmbedding(body),
          finish: "stop",
        };
      if (type === FrameType.Token)
        throw new ShoalError(
          "STAGE_FAILED",
          "the last stage sent a token instead of an embedding",
        );
    }
  }

  /** Of the stages that did not answer in time the first is named. */
  #silent(
    error: unknown,
    route: readonly RouteStage[],
    ready: ReadonlyMap<number, OpenedBody>,
  ): unknown {
    const index = route.findIndex((_, stage) => !ready.has(stage));
    const stage = route[index];
    return isShoalError(error, "DEADLINE") && stage !== undefined
      ? lost(index, stage, error)
      : error;
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
      FROM_ANY_STAGE.has(frame.type) ||
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

function positionsOf(lengths: readonly number[]): Chunk[] {
  let position = 0;
  return lengths.map((count) => {
    position += count;
    return { position: position - count, count };
  });
}
