/**
 * A node's side of the pipeline: holds loaded shards, reserves a KV sequence for each session that a gateway opens, and hands the
 * frames that come in to their sessions.
 */
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

export const STAGE_DEFAULTS = Object.freeze({
  /** Shorter than the gateway's wait for OPENED (pipeline.ts), so that the error names the stage that could not be reached. */
  connectTimeoutMs: 5_000,
  /** Streams one peer may hold open to us: a neighbour needs one, a gateway one; more only while one is replaced. */
  maxStreamsPerPeer: 8,
});

export interface StageStats {
  activeSessions: number;
  maxSessions: number;
  totalSessions: number;
  failedSessions: number;
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
  #msPerToken: number | undefined;
  #unsubscribe: (() => void)[] = [];

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
    const held: Held = { ...shard, scheduler: new Scheduler(), freeSequences };
    this.#held.push(held);
    this.#unsubscribe.push(
      shard.engine.onDown((error) => {
        for (const session of this.#all())
          if (session.held === held) session.engineFailed(error);
      }),
    );
  }

  stats(): StageStats {
    return {
      activeSessions: this.#sessions.size,
      maxSessions: this.#held.reduce(
        (sum, held) => sum + held.engine.sessions,
        0,
      ),
      totalSessions: this.#total,
      failedSessions: this.#failed,
      msPerToken: this.#msPerToken,
    };
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const session of this.#all()) {
      session.fail(
        new ShoalError("STAGE_LOST", `${session.name} is stopping`, {
          stage: session.index,
        }),
      );
    }
    await this.#links.stop();
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
    // A session that is closed meanwhile: frames in flight are nobody's fault.
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
    if (info === undefined)
      throw new ShoalError(
        "STAGE_FAILED",
        `${name} is loading its engine again`,
        { stage: frame.stage },
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
        held.engine.openSequence(session.sequence, sampling),
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
        if (error === undefined) return;
        this.#failed++;
        this.#events.warn("SESSION", error.message, {
          code: error.code,
          session: ended.id.slice(0, 8),
        });
      },
      onDecoded: (tokens, elapsedMs) => {
        if (tokens === 1)
          this.#msPerToken =
            this.#msPerToken === undefined
              ? elapsedMs
              : this.#msPerToken * 0.95 + elapsedMs * 0.05;
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
        `stage ${session.index} can not reach stage ${index} (${layersOf(next)}): ${why}`,
        { stage: index, peer: next.peer },
        error,
      );
    }
  }
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
