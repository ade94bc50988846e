/**
 * The engine's loop: waits for its node, its listening socket and its data connections at once, takes frames, and decodes. No event loop lies
 * between a token that arrives and its decode, or between the decode and the next engine.
 */
import { ShoalError } from "../lib/index.ts";
import {
  bufferOf,
  checkFrame,
  FrameType,
  isBetweenStages,
  Poller,
} from "../ring/index.ts";
import {
  type EngineChannel,
  type EngineEvent,
  type Frame,
  Kind,
  type Target,
} from "./channel.ts";
import type { FrameInput } from "./frame-input.ts";
import { describeMatch, type KeptPrefix, PARKED_MS } from "./kept-sessions.ts";
import { Overtaken } from "./overtaken.ts";
import { type RingLink, RingLinks } from "./ring-links.ts";
import { RingSession } from "./ring-session.ts";
import { Sampler } from "./sampler.ts";
import {
  ServedStage,
  type ServedStageInit,
  type StageLoop,
} from "./served-stage.ts";
import type { SessionRequest } from "./session-request.ts";

/** The node hears this often what was computed, while something is. */
const STATS_MS = 500;
/** Deadlines of data connections are looked at this often. */
const TICK_MS = 500;

export interface OpenedSession {
  kept?: KeptPrefix;
}

export class EngineLoop {
  readonly #channel: EngineChannel;
  readonly #handle: (frame: Frame) => void | Promise<void>;
  readonly #usesSockets: boolean;
  readonly #poller = new Poller();
  readonly #links: RingLinks;
  readonly #sessions = new Map<number, RingSession>();
  readonly #out = new Uint32Array(1);
  readonly #outBytes = new Uint8Array(this.#out.buffer);
  readonly #hosts = new Map<number, ServedStage>();
  /** Turns of all stages. */
  #waiting = 0;
  readonly #overtaken = new Overtaken();
  /** False while frames are taken that may have come during a decode. */
  #isFresh = true;
  #hasInput = true;
  #hasNews = false;
  #toldMs = 0;
  #tickedMs = 0;

  readonly #forStages: StageLoop = {
    onTurn: () => this.#waiting++,
    relay: (id, handle, target, frame) =>
      this.#relay(id, handle, target, frame),
    isFresh: () => this.#isFresh,
    sendLater: (send, decodeMs) => this.#overtaken.add(send, decodeMs),
  };

  /** `handle` answers requests of the node that are not about sessions. */
  constructor(
    channel: EngineChannel,
    usesSockets: boolean,
    handle: (frame: Frame) => void | Promise<void>,
  ) {
    this.#channel = channel;
    this.#usesSockets = usesSockets;
    this.#handle = handle;
    this.#links = new RingLinks({
      poller: this.#poller,
      onFrame: (frame, link) => this.#onDirect(frame, link),
      onChange: (link, error) => this.#onWay(link, error),
      onFailure: (link, error) => this.#tellLink(link, error),
    });
  }

  get links(): RingLinks {
    return this.#links;
  }

  /** Sessions decode with this stage from now on. */
  serve(init: ServedStageInit): void {
    this.#hosts.set(init.id, new ServedStage(init, this.#forStages));
  }

  /** Ends the stage's sessions. */
  forget(id: number): void {
    const host = this.#hosts.get(id);
    for (const session of this.#sessions.values())
      if (session.host === host) this.close(session.handle);
    host?.kept.writeParked();
    host?.kept[Symbol.dispose]();
    this.#hosts.delete(id);
  }

  /** For decodes that are no session's. */
  freeSequence(id: number, sequence: number): void {
    this.#hosts.get(id)?.kept.free(sequence);
  }

  /** What is parked outlives the process. */
  stop(): void {
    for (const id of this.#hosts.keys()) this.forget(id);
  }

  /** Until the node is gone. */
  async run(): Promise<void> {
    await (this.#usesSockets ? this.#runBySockets() : this.#runByEvents());
  }

  /** Says what the session may take over from earlier ones. */
  open(request: SessionRequest): OpenedSession {
    const host = this.#hosts.get(request.stage);
    if (host === undefined)
      throw new ShoalError("ENGINE_FAILED", "no shard is loaded");
    this.close(request.handle);
    const { sampling, previous, next } = request;
    const match = host.expect(request);
    const link = (id: number | undefined): RingLink | undefined =>
      id === undefined ? undefined : this.#links.link(id);
    const sampler = sampling && new Sampler(host.stage, sampling, request);
    this.#sessions.set(
      request.handle,
      new RingSession(
        request,
        host,
        sampler,
        link(previous),
        link(next),
        match,
      ),
    );
    return match === undefined ? {} : { kept: describeMatch(match) };
  }

  /** Of a running session, for whoever writes it. */
  session(handle: number): RingSession | undefined {
    return this.#sessions.get(handle);
  }

  /** Frees the session's sequence. May be called twice. */
  close(handle: number): void {
    const session = this.#sessions.get(handle);
    if (session !== undefined) this.#end(session, true);
  }

  /** A frame that came through the node, which has checked who sent it. */
  onRelayed(handle: number, body: Uint8Array): void {
    const session = this.#sessions.get(handle);
    if (session !== undefined) this.#take(session, bufferOf(body));
  }

  async #runBySockets(): Promise<void> {
    const channel = this.#channel;
    this.#poller.watch(channel.fd, () => {
      this.#hasInput = true;
      channel.fill();
    });
    while (!channel.ended) {
      if (this.#hasInput) {
        this.#hasInput = false;
        for (
          let frame = channel.next();
          frame !== undefined;
          frame = channel.next()
        ) {
          const pending = this.#handle(frame);
          if (pending !== undefined) await pending;
        }
      }
      this.#isFresh = false;
      const ready = this.#poller.wait(0);
      this.#isFresh = true;
      if (ready === 0 && this.#waiting === 0 && this.#overtaken.size === 0)
        this.#poller.wait(this.#idleMs());
      this.#decodeNext();
      this.#keepTime();
    }
  }

  /** Where there are no sockets to poll: between two decodes the event loop brings what the node sent. */
  async #runByEvents(): Promise<void> {
    const channel = this.#channel;
    let wake: (() => void) | undefined;
    channel.readByEvents(() => wake?.());
    while (!channel.ended) {
      for (
        let frame = channel.next();
        frame !== undefined;
        frame = channel.next()
      )
        await this.#handle(frame);
      if (this.#waiting > 0 || this.#overtaken.size > 0) {
        this.#decodeNext();
        this.#keepTime();
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      if (channel.ended) return;
      const idleMs = this.#idleMs();
      await new Promise<void>((resolve) => {
        const timer =
          idleMs < 0
            ? undefined
            : setTimeout(() => wake?.(), Math.ceil(idleMs));
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wake = undefined;
      this.#keepTime();
    }
  }

  /** One decode of each stage that has something to do. */
  #decodeNext(): void {
    this.#overtaken.send(this.#hasTokens());
    if (this.#waiting === 0) return;
    for (const host of this.#hosts.values())
      if (host.turns.size > 0) this.#decode(host, host.turns.next());
  }

  #hasTokens(): boolean {
    for (const { turns } of this.#hosts.values())
      if (turns.hasToken) return true;
    return false;
  }

  #decode(host: ServedStage, group: readonly FrameInput[]): void {
    const [first] = group;
    if (first === undefined) return;
    this.#waiting -= group.length;
    const startedMs = performance.now();
    let out: Float32Array | undefined;
    try {
      out =
        group.length === 1
          ? host.stage.decode(
              first.sequence,
              first.position,
              first.tokens,
              first.activations,
              first.embeds,
            )
          : host.stage.decodeShared(group);
    } catch (error) {
      for (const { owner } of group) this.#fail(owner, error);
      return;
    }
    const elapsedMs = performance.now() - startedMs;
    this.#hasNews = true;
    host.count(group, elapsedMs);
    const width = host.stage.activationLength;
    if (group.length > 1) for (const { owner } of group) owner.next?.hold();
    for (const [row, input] of group.entries()) {
      const part =
        group.length === 1
          ? out
          : out?.subarray(row * width, (row + 1) * width);
      const at = group.length === 1 ? -1 : row;
      try {
        input.owner.onDecoded(input, part, at, startedMs, elapsedMs);
      } catch (error) {
        this.#fail(input.owner, error);
      }
    }
    for (const { owner } of group) owner.next?.release();
  }

  #take(session: RingSession, frame: Buffer): void {
    try {
      session.onFrame(frame);
    } catch (error) {
      this.#fail(session, error);
    }
  }

  /** A frame by a data connection: only neighbours have one, each for its own sessions. */
  #onDirect(frame: Buffer, link: RingLink): void {
    try {
      checkFrame(frame);
    } catch (error) {
      for (const connection of link.connections.slice()) connection.close();
      this.#onWay(link, ShoalError.from(error));
      return;
    }
    for (const session of this.#sessions.values()) {
      if (!session.isNamedBy(frame)) continue;
      const from =
        (frame[0] as FrameType) === FrameType.Echo
          ? session.next
          : session.previous;
      if (from === link && isBetweenStages(frame[0] as FrameType))
        this.#take(session, frame);
      else
        this.#fail(
          session,
          new ShoalError(
            "COMMAND_UNAUTHORIZED",
            "a frame came from a stage that has another place in the route",
          ),
        );
      return;
    }
    // The session closed meanwhile: frames in flight are nobody's fault.
  }

  #onWay(link: RingLink, error: ShoalError | undefined): void {
    this.#tellLink(link, error);
    for (const session of this.#sessions.values())
      if (session.next === link) session.sendAgain();
  }

  #tellLink(link: RingLink, error: ShoalError | undefined): void {
    this.#tell({
      type: "link",
      link: link.id,
      direct: link.isDirect,
      ...(error && { error: error.toObject() }),
    });
  }

  #fail(session: RingSession, error: unknown): void {
    if (!this.#sessions.has(session.handle)) return;
    this.#end(session, false);
    this.#tell({
      type: "failed",
      handle: session.handle,
      error: ShoalError.from(error).toObject(),
    });
  }

  #end(session: RingSession, isWhole: boolean): void {
    this.#sessions.delete(session.handle);
    const { stage, kept, turns } = session.host as ServedStage;
    this.#waiting -= turns.size;
    turns.drop(session.handle);
    this.#waiting += turns.size;
    session.close();
    const { record, sequence } = session;
    if (record === undefined) return; // it has not begun: the sequence is not its own
    if (isWhole && !session.embeds && record.length > 0)
      return kept.park(sequence, record, performance.now());
    record.sent?.[Symbol.dispose]();
    stage.releasePages(sequence);
  }

  #relay(
    stage: number,
    handle: number,
    target: Target,
    frame: Uint8Array,
  ): void {
    this.#out[0] = target | (stage << 16);
    this.#channel.write(Kind.Frame, handle, this.#outBytes, frame);
  }

  #tell(event: EngineEvent): void {
    this.#channel.write(Kind.Event, 0, Buffer.from(JSON.stringify(event)));
  }

  /** How long the loop may sleep. */
  #idleMs(): number {
    if (this.#hasNews) return STATS_MS;
    for (const { kept } of this.#hosts.values())
      if (kept.hasParked) return PARKED_MS;
    const ticks =
      this.#sessions.size > 0 ? this.#links.isActive : this.#links.isOpening;
    return ticks ? TICK_MS : -1;
  }

  #keepTime(): void {
    const nowMs = performance.now();
    if (nowMs - this.#tickedMs >= TICK_MS) {
      this.#tickedMs = nowMs;
      this.#links.tick(nowMs);
    }
    if (this.#waiting === 0 && this.#overtaken.size === 0)
      for (const { kept } of this.#hosts.values()) kept.keepTime(nowMs);
    if (!this.#hasNews || nowMs - this.#toldMs < STATS_MS) return;
    this.#toldMs = nowMs;
    this.#hasNews = false;
    for (const host of this.#hosts.values()) {
      const news = host.news();
      if (news !== undefined) this.#tell(news);
    }
  }
}
