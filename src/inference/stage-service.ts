/**
 * A node's side of the pipeline: holds loaded shards, opens sessions at their engines for gateways, keeps the direct ways between engines up,
 * and passes on the frames that come through the node.
 */
import {
  type EngineEvent,
  type KeptPrefix,
  OWN_LINK,
  type StageEngine,
} from "../engine/index.ts";
import type { Announcement } from "../cluster/index.ts";
import { type EventSink, ShoalError } from "../lib/index.ts";
import type { Commands, FrameStream, Host } from "../network/index.ts";
import {
  FrameType,
  MAX_FRAME_BYTES,
  PIPELINE_PROTOCOL,
  type PipelineFrame,
} from "../ring/index.ts";
import { checkOpen, giveBack, refuse, takeRoom } from "./check-open.ts";
import { DataLinks, type DataPlace } from "./data-links.ts";
import { Giving } from "./giving.ts";
import { KvBudget } from "./kv-budget.ts";
import { type Link, Links, readFrames, StreamLink } from "./links.ts";
import { parseOpen } from "./open.ts";
import { layersOf, type RouteStage } from "./route.ts";
import {
  type Held,
  type HeldShard,
  StageSession,
  stopping,
} from "./stage-session.ts";
import type { ShardStats, StageStats } from "./stage-stats.ts";
import { Taking } from "./taking.ts";

export interface StageServiceOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  /** Where engines listen for their neighbours' data connections; undefined: frames go through the nodes. */
  dataPlace?: DataPlace | undefined;
  /** The cluster's records, of which some may hand sessions over to this node; default: none. */
  members?: () => readonly Announcement[];
  /** To reach the stage after this one, while a session opens. */
  connectTimeoutMs?: number;
}

const STAGE_DEFAULTS = Object.freeze({
  /** Shorter than the gateway's wait for OPENED (pipeline.ts), so that the error names the stage that could not be reached. */
  connectTimeoutMs: 5_000,
  /** Streams that one peer may have open to us: a neighbour needs one, a gateway one; more only while one is replaced. */
  maxStreamsPerPeer: 8,
});

export class StageService {
  #host: Host;
  #events: EventSink;
  #connectTimeoutMs: number;
  #links: Links;
  #held: Held[] = [];
  #dataLinks: DataLinks;
  #giving: Giving;
  #taking: Taking;
  #sessions = new Map<string, StageSession>();
  #byHandle = new Map<number, StageSession>();
  #lastHandle = 0;
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
        this.#dataLinks.lost(peer);
        for (const session of this.#all()) session.onPeerLost(peer, error);
      },
    });
    this.#dataLinks = new DataLinks({
      ...options,
      place: options.dataPlace,
      engineOf: (manifest, range) => this.#heldOf(manifest, range)?.engine,
    });
    this.#giving = new Giving({
      ...options,
      sessionOf: (id, stage) => this.#sessions.get(`${id}/${stage}`),
    });
    this.#taking = new Taking({
      members: () => [],
      ...options,
      peer: this.#host.peerId,
      heldOf: (manifest, range) => this.#heldOf(manifest, range),
    });
  }

  /** Begins to answer streams of the pipeline protocol. */
  start(): void {
    this.#dataLinks.register();
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
    const { sessions, info } = shard.engine;
    const wholeContexts = sessions * (info?.contextLength ?? 0);
    const held: Held = {
      ...shard,
      kv: new KvBudget(shard.kvTokens ?? wholeContexts),
      freeSequences: Array.from({ length: sessions }, (_, i) => i),
      draining: false,
      msPerToken: undefined,
      tokens: 0,
    };
    this.#held.push(held);
    shard.engine.listen({
      onFrame: (handle, target, frame) =>
        this.#byHandle.get(handle)?.onEngineFrame(target, frame),
      onEvent: (event) => this.#onEngineEvent(held, event),
    });
    shard.engine.onDown((error) => {
      this.#dataLinks.forget(shard.engine);
      held.tokens = 0;
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
    this.#dataLinks.forget(engine);
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
    const all = held?.engine.sessions ?? 0;
    const active = all - (held?.freeSequences.length ?? 0);
    const { freeTokens: free, totalTokens: total } =
      held?.kv ?? new KvBudget(0);
    // Without room for keys and values no other session fits.
    const max = free === 0 ? active : all;
    return {
      sessions: { active, max },
      kvTokens: { free, total },
      msPerToken: held?.msPerToken,
    };
  }

  async stop(): Promise<void> {
    for (const session of this.#all()) session.fail(stopping(session));
    this.#dataLinks.stop();
    this.#taking.stop();
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
      if (error !== undefined) this.#dataLinks.lost(link.peer);
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
    const held = this.#heldOf(open.manifest, me);
    if (held === undefined)
      throw new ShoalError(
        "STAGE_LOST",
        `${name} of model ${open.manifest} is not held here`,
      );
    const info = checkOpen(held, open, frame.stage, name);
    const session = this.#reserve(frame, open, held, gateway, name);
    let kept: KeptPrefix | undefined;
    try {
      [session.next, kept] = await Promise.all([
        this.#connectNext(session),
        this.#openAtEngine(session),
      ]);
    } catch (error) {
      session.close(ShoalError.from(error));
      throw error;
    }
    if (session.closed) return;
    const { tables } = info;
    session.opened({
      batchTokens: held.engine.batchTokens,
      chunkMs: tables.chunks.map(({ tokens, ms }) => [tokens, ms]),
      kept,
    });
  }

  async #openAtEngine(session: StageSession): Promise<KeptPrefix | undefined> {
    const { held } = session;
    try {
      const { kept } = await held.engine.openSession(
        session.request((stage) =>
          this.#isWithin(held, stage)
            ? OWN_LINK
            : this.#dataLinks.link(held, stage).id,
        ),
      );
      return kept;
    } catch (error) {
      throw session.failureOf(ShoalError.from(error));
    }
  }

  /** The other stage is computed by the same process: frames stay inside. */
  #isWithin(held: Held, stage: RouteStage): boolean {
    if (stage.peer !== this.#host.peerId) return false;
    const other = this.#heldOf(held.manifest, stage);
    return other?.engine.sharesProcessWith(held.engine) === true;
  }

  #heldOf(
    manifest: string,
    { layerStart, layerEnd }: { layerStart: number; layerEnd: number },
  ): Held | undefined {
    return this.#held.find(
      (held) =>
        held.manifest === manifest &&
        held.layerStart === layerStart &&
        held.layerEnd === layerEnd,
    );
  }

  #onEngineEvent(held: Held, event: EngineEvent): void {
    switch (event.type) {
      case "link":
        this.#dataLinks.onEvent(held.engine, event);
        return;
      case "failed": {
        const session = this.#byHandle.get(event.handle);
        session?.fail(session.failureOf(ShoalError.fromObject(event.error)));
        return;
      }
      case "stats":
        this.#tokens += event.tokens - held.tokens;
        held.tokens = event.tokens;
        held.msPerToken = event.msPerToken;
        return;
      default:
        event satisfies never;
    }
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
    const kvTokens = open.promptTokens + open.maxTokens;
    const sequence = takeRoom(held, kvTokens, frame.stage, name);
    const session = new StageSession({
      id: frame.session,
      index: frame.stage,
      open,
      held,
      sequence,
      handle: ++this.#lastHandle,
      gateway,
      onEnd: (ended, error) => {
        this.#sessions.delete(ended.key);
        this.#byHandle.delete(ended.handle);
        this.#giving.ended(ended);
        if (ended.neighbours !== undefined)
          this.#dataLinks.leave(held, ended.neighbours.next);
        giveBack(held, ended.sequence, kvTokens);
        for (const listener of this.#sessionEnded) listener();
        if (error === undefined) return;
        this.#failed++;
        this.#events.warn("SESSION", error.message, {
          code: error.code,
          session: ended.id.slice(0, 8),
        });
      },
    });
    if (session.neighbours !== undefined)
      this.#dataLinks.use(held, session.neighbours.next);
    this.#byHandle.set(session.handle, session);
    this.#sessions.set(key, session);
    this.#total++;
    return session;
  }

  async #connectNext(session: StageSession): Promise<Link | undefined> {
    const { route } = session.open;
    const next = session.neighbours?.next;
    if (next === undefined) return undefined;
    const index = (session.index + 1) % route.length;
    try {
      const link = await this.#links.to(
        next.peer,
        next.addresses,
        this.#connectTimeoutMs,
      );
      if (this.#isWithin(session.held, next)) return link;
      const direct = this.#dataLinks.link(session.held, next);
      // Two stages have one connection for both ways: the first one dials.
      const isDialled = route.length === 2 && session.index === 1;
      await this.#dataLinks.ready(direct, isDialled);
      return link;
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
