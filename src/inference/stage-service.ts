/**
 * A node's side of the pipeline: holds loaded shards, reserves a KV sequence for each session that a gateway opens, and passes incoming
 * frames to their sessions.
 */
import type { StageEngine } from "../engine/index.ts";
import { type EventSink, ShoalError } from "../lib/index.ts";
import type { FrameStream, Host } from "../network/index.ts";
import {
  type FrameHead,
  FrameType,
  MAX_FRAME_BYTES,
  PIPELINE_PROTOCOL,
  type PipelineFrame,
} from "./frames.ts";
import { type Link, Links, readFrames, StreamLink } from "./links.ts";
import { parseOpen } from "./open.ts";
import { layersOf } from "./route.ts";
import { Scheduler } from "./scheduler.ts";
import { type Held, type HeldShard, StageSession } from "./stage-session.ts";

export interface StageServiceOptions {
  host: Host;
  events: EventSink;
  /** To reach the stage after this one, while a session opens. */
  connectTimeoutMs?: number;
}

const STAGE_DEFAULTS = Object.freeze({
  /** Shorter than the gateway's wait for OPENED (pipeline.ts), so that the error names the stage that could not be reached. */
  connectTimeoutMs: 5_000,
  /** Streams that one peer may have open to us: a neighbour needs one, a gateway one; more only while one is replaced. */
  maxStreamsPerPeer: 8,
});

export interface StageStats {
  totalSessions: number;
  failedSessions: number;
  /** Tokens computed, prompts' and generated ones. */
  totalTokens: number;
}

/** Of one shard. */
export interface ShardStats {
  sessions: { active: number; max: number };
  /** Moving average of single-token decodes; undefined before the first. */
  msPerToken: number | undefined;
}

export class StageService {
  #host: Host;
  #events: EventSink;
  #connectTimeoutMs: number;
  #links: Links;
  #held: Held[] = [];
  #sessions = new Map<string, StageSession>();
  #total = 0;
  #failed = 0;
  #tokens = 0;
  #sessionEnded = new Set<() => void>();

  constructor(options: StageServiceOptions) {
    this.#host = options.host;
    this.#events = options.events;
    this.#connectTimeoutMs =
      options.connectTimeoutMs ?? STAGE_DEFAULTS.connectTimeoutMs;
    this.#links = new Links({
      host: this.#host,
      onFrame: (frame, from) => this.#onFrame(frame, from),
      onLost: (peer, error) => {
        for (const session of this.#all()) session.onPeerLost(peer, error);
      },
    });
  }

  /** Begins to answer streams of the pipeline protocol. */
  start(): void {
    this.#host.handleStreams(
      PIPELINE_PROTOCOL,
      (stream) => this.#onStream(stream),
      {
        maxFrameBytes: MAX_FRAME_BYTES,
        maxStreamsPerPeer: STAGE_DEFAULTS.maxStreamsPerPeer,
      },
    );
  }

  /** Offers a loaded shard for sessions. */
  hold(shard: HeldShard): void {
    const freeSequences = Array.from(
      { length: shard.engine.sessions },
      (_, i) => i,
    );
    const held: Held = {
      ...shard,
      scheduler: new Scheduler(),
      freeSequences,
      draining: false,
      msPerToken: undefined,
    };
    this.#held.push(held);
    shard.engine.onDown((error) => {
      for (const session of this.#all())
        if (session.held === held) session.fail(session.failureOf(error));
    });
  }

  /**
   * Accepts no new session for that engine's shard; running ones end, or fail after `timeoutMs`; then the shard is released. Does nothing
   * for a shard that is not held.
   */
  async release(engine: StageEngine, timeoutMs: number): Promise<void> {
    await this.#drain(
      this.#held.filter((held) => held.engine === engine),
      timeoutMs,
    );
    this.#held = this.#held.filter((held) => held.engine !== engine);
  }

  /** The same for all shards, which are then still held but closed. */
  async drain(timeoutMs: number): Promise<void> {
    await this.#drain(this.#held, timeoutMs);
  }

  stats(): StageStats {
    return {
      totalSessions: this.#total,
      failedSessions: this.#failed,
      totalTokens: this.#tokens,
    };
  }

  /** Of the shard of that engine; zeros where it is not held. */
  statsOf(engine: StageEngine): ShardStats {
    const held = this.#held.find((h) => h.engine === engine);
    const max = held?.engine.sessions ?? 0;
    const active = max - (held?.freeSequences.length ?? 0);
    return { sessions: { active, max }, msPerToken: held?.msPerToken };
  }

  async stop(): Promise<void> {
    for (const session of this.#all()) session.fail(stopping(session));
    await this.#links.stop();
  }

  async #drain(helds: readonly Held[], timeoutMs: number): Promise<void> {
    for (const held of helds) held.draining = true;
    const left = (): StageSession[] =>
      this.#all().filter(({ held }) => helds.includes(held));
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => {
      if (left().length === 0) resolve();
    };
    this.#sessionEnded.add(check);
    const late = setTimeout(() => {
      for (const session of left()) session.fail(stopping(session));
    }, timeoutMs);
    check();
    await promise;
    clearTimeout(late);
    this.#sessionEnded.delete(check);
  }

  #all(): StageSession[] {
    return [...this.#sessions.values()];
  }

  #onStream(stream: FrameStream): void {
    const link = new StreamLink(stream);
    readFrames(stream, link, (frame, from) => this.#onFrame(frame, from));
    stream.onClose((error) => {
      for (const session of this.#all()) {
        if (session.gateway === link) session.close();
        else session.onPeerLost(link.peer, error);
      }
    });
  }

  #onFrame(frame: PipelineFrame, from: Link): void {
    if (frame.type === FrameType.Open) {
      this.#open(frame, from).catch((error: unknown) =>
        refuse(frame, from, ShoalError.from(error)),
      );
      return;
    }
    // The session closed meanwhile: frames in flight are nobody's fault.
    this.#sessions.get(`${frame.session}/${frame.stage}`)?.onFrame(frame, from);
  }

  async #open(frame: PipelineFrame, gateway: Link): Promise<void> {
    const open = parseOpen(frame);
    const me = open.route[frame.stage];
    if (me === undefined || me.peer !== this.#host.peerId)
      throw new ShoalError(
        "FRAME_MALFORMED",
        `stage ${frame.stage} of the route is not this peer`,
      );
    const name = `stage ${frame.stage} (${layersOf(me)})`;
    const held = this.#held.find(
      (h) =>
        h.manifest === open.manifest &&
        h.layerStart === me.layerStart &&
        h.layerEnd === me.layerEnd,
    );
    if (held === undefined)
      throw new ShoalError(
        "STAGE_LOST",
        `${name} of model ${open.manifest} is not held here`,
      );
    const info = held.engine.info;
    if (info === undefined || held.engine.silent) {
      const what = info === undefined ? "is restarting" : "waits for";
      throw new ShoalError("STAGE_FAILED", `${name} ${what} its engine`, {
        stage: frame.stage,
      });
    }
    if (held.draining)
      throw new ShoalError(
        "DRAINING",
        `${name} is draining and accepts no new session`,
        {
          stage: frame.stage,
        },
      );
    const { promptTokens, maxTokens } = open;
    if (promptTokens + maxTokens > info.contextLength) {
      throw new ShoalError(
        "CONTEXT_EXCEEDED",
        `${promptTokens} prompt tokens and ${maxTokens} to generate exceed the context of ${info.contextLength} tokens`,
        { promptTokens, maxTokens, contextLength: info.contextLength },
      );
    }
    const session = this.#reserve(frame, open, held, gateway, name);
    try {
      const sampling = session.isLast ? open.sampling : undefined;
      [session.next] = await Promise.all([
        this.#connectNext(session),
        held.engine
          .openSequence(session.sequence, sampling)
          .catch((error: unknown) => {
            throw session.failureOf(ShoalError.from(error));
          }),
      ]);
    } catch (error) {
      session.close(ShoalError.from(error));
      throw error;
    }
    if (!session.closed) session.opened();
  }

  #reserve(
    frame: PipelineFrame,
    open: ReturnType<typeof parseOpen>,
    held: Held,
    gateway: Link,
    name: string,
  ): StageSession {
    const key = `${frame.session}/${frame.stage}`;
    if (this.#sessions.has(key))
      throw new ShoalError("FRAME_MALFORMED", "the session is open already");
    const sequence = held.freeSequences.pop();
    if (sequence === undefined) {
      const { sessions } = held.engine;
      throw new ShoalError(
        "BUSY",
        `${name} has all its ${sessions} sessions in use`,
        { stage: frame.stage, sessions },
      );
    }
    const session = new StageSession({
      id: frame.session,
      index: frame.stage,
      open,
      held,
      sequence,
      gateway,
      onEnd: (ended, error) => {
        this.#sessions.delete(ended.key);
        held.freeSequences.push(ended.sequence);
        for (const listener of this.#sessionEnded) listener();
        if (error === undefined) return;
        this.#failed++;
        this.#events.warn("SESSION", error.message, {
          code: error.code,
          session: ended.id.slice(0, 8),
        });
      },
      onDecoded: (tokens, elapsedMs) => {
        this.#tokens += tokens;
        if (tokens === 1)
          held.msPerToken =
            held.msPerToken === undefined
              ? elapsedMs
              : held.msPerToken * 0.95 + elapsedMs * 0.05;
      },
    });
    this.#sessions.set(key, session);
    this.#total++;
    return session;
  }

  async #connectNext(session: StageSession): Promise<Link | undefined> {
    const { route } = session.open;
    const index = (session.index + 1) % route.length;
    const next = route[index];
    if (next === undefined || index === session.index) return undefined;
    try {
      return await this.#links.to(
        next.peer,
        next.addresses,
        this.#connectTimeoutMs,
      );
    } catch (error) {
      const why = ShoalError.from(error).message;
      throw new ShoalError(
        "STAGE_LOST",
        `stage ${session.index} cannot reach stage ${index} (${layersOf(next)}): ${why}`,
        { stage: index, peer: next.peer, from: session.index },
        error,
      );
    }
  }
}

function stopping({ name, index }: StageSession): ShoalError {
  return new ShoalError("STAGE_LOST", `${name} is stopping`, { stage: index });
}

function refuse(frame: PipelineFrame, gateway: Link, error: ShoalError): void {
  const { stage, session } = frame;
  const head: FrameHead = {
    type: FrameType.Error,
    flags: 0,
    stage,
    position: 0,
    count: 0,
    elapsedUs: 0,
    session,
  };
  gateway.send(head, Buffer.from(JSON.stringify(error.toObject())));
}
