/**
 * One session at one stage, as its node sees it: opened, watched and closed here; its frames are computed by the engine (engine/loop.ts).
 * Frames pass through the node where they come from the gateway or go to it, and where two engines have no direct way.
 */
import {
  type SessionAtStage,
  type StageEngine,
  Target,
} from "../engine/index.ts";
import { type ComputeMode, ShoalError } from "../lib/index.ts";
import {
  type FrameHead,
  FrameType,
  type PipelineFrame,
} from "../ring/index.ts";
import type { KvBudget } from "./kv-budget.ts";
import type { Link } from "./links.ts";
import type { Open, OpenedBody } from "./open.ts";
import { layersOf, type RouteStage } from "./route.ts";

/** A shard this node computes with. */
export interface HeldShard {
  /** CID of the manifest. */
  manifest: string;
  layerStart: number;
  layerEnd: number;
  /** Its number in the plan: a name for people. */
  shard: { index: number; count: number };
  engine: StageEngine;
  /** Of keys and values, of all sessions together; undefined: a context for each of the engine's sessions. */
  kvTokens?: number;
  /** How it computes; undefined: COMPUTE_MODE_DEFAULTS. */
  mode?: ComputeMode;
}

/** A held shard with what its sessions share. */
export interface Held extends HeldShard {
  freeSequences: number[];
  kv: KvBudget;
  /** It accepts no new session: the node stops or gives the shard back. */
  draining: boolean;
  /** Moving average of single-token decodes, ms; undefined before the first. */
  msPerToken: number | undefined;
  /** What the engine said last of the tokens it computed. */
  tokens: number;
}

export interface StageSessionInit {
  id: string;
  /** This stage's index in the route. */
  index: number;
  open: Open;
  held: Held;
  /** KV sequence in the engine. */
  sequence: number;
  /** Its name between node and engine. */
  handle: number;
  gateway: Link;
  /** Called once, when the session is over at this stage. */
  onEnd: (session: StageSession, error: ShoalError | undefined) => void;
}

export class StageSession {
  readonly id: string;
  readonly index: number;
  readonly open: Open;
  readonly held: Held;
  readonly sequence: number;
  readonly handle: number;
  readonly gateway: Link;
  /** The next stage; after the last the first. Undefined if that is this stage itself. */
  next: Link | undefined;
  /** Where the last frame of the stage before came from, through the nodes. */
  #previous: Link | undefined;
  #init: StageSessionInit;
  #closed = false;

  constructor(init: StageSessionInit) {
    this.#init = init;
    ({
      id: this.id,
      index: this.index,
      open: this.open,
      held: this.held,
      sequence: this.sequence,
      handle: this.handle,
      gateway: this.gateway,
    } = init);
  }

  get key(): string {
    return `${this.id}/${this.index}`;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get isLast(): boolean {
    return this.index === this.open.route.length - 1;
  }

  /** The stage before and the one after in the ring; undefined if there is only this one. */
  get neighbours(): { previous: RouteStage; next: RouteStage } | undefined {
    const { route } = this.open;
    const { length } = route;
    const previous = route[(this.index + length - 1) % length];
    const next = route[(this.index + 1) % length];
    return length === 1 || previous === undefined || next === undefined
      ? undefined
      : { previous, next };
  }

  /** "stage 2 (layers 4-5)", for errors. */
  get name(): string {
    return `stage ${this.index} (${layersOf(this.held)})`;
  }

  /** What the engine has to know; `linkOf` gives the engine's link to a neighbour. */
  request(linkOf: (stage: RouteStage) => number): SessionAtStage {
    const { open, neighbours } = this;
    return {
      handle: this.handle,
      session: this.id,
      gateway: this.gateway.peer,
      index: this.index,
      stages: open.route.length,
      sequence: this.sequence,
      promptTokens: open.promptTokens,
      known: Buffer.from(open.known).toString("base64"),
      maxTokens: open.maxTokens,
      credit: open.credit,
      embeds: open.embeds === true,
      ...(this.isLast &&
        open.embeds !== true && {
          sampling: open.sampling,
          ...(open.mu !== undefined && { mu: open.mu }),
        }),
      ...(neighbours && {
        previous: linkOf(neighbours.previous),
        next: linkOf(neighbours.next),
      }),
    };
  }

  opened(body: OpenedBody): void {
    this.gateway.send(
      this.#head(FrameType.Opened),
      Buffer.from(JSON.stringify(body)),
    );
  }

  /** A frame for this session. Whatever is wrong with it ends the session. */
  onFrame(frame: PipelineFrame, from: Link): void {
    try {
      this.#accept(frame, from);
    } catch (error) {
      this.fail(ShoalError.from(error));
    }
  }

  /** A frame that the engine made. */
  onEngineFrame(target: Target, bytes: Uint8Array): void {
    if (this.#closed) return;
    const to = {
      [Target.Gateway]: this.gateway,
      [Target.Next]: this.next,
      [Target.Previous]: this.#previous,
    }[target];
    to?.forward(bytes);
  }

  /** Tells the gateway and ends the session. */
  fail(error: ShoalError): void {
    if (this.#closed) return;
    this.gateway.send(
      this.#head(FrameType.Error),
      Buffer.from(JSON.stringify(error.toObject())),
    );
    this.close(error);
  }

  /** The stage at the other end of a lost stream, if it is a neighbour in this session's ring. */
  onPeerLost(peer: string, error: ShoalError | undefined): void {
    const { route } = this.open;
    const around = [
      this.index - 1,
      this.index + 1,
      this.index === 0 ? route.length - 1 : 0,
    ];
    const index = around.find(
      (i) => i !== this.index && route[i]?.peer === peer,
    );
    const stage = index === undefined ? undefined : route[index];
    if (index === undefined || stage === undefined) return;
    const why = error?.message ?? "its stream was closed";
    this.fail(
      new ShoalError(
        "STAGE_LOST",
        `stage ${index} (${layersOf(stage)}) was lost: ${why}`,
        { stage: index, peer },
      ),
    );
  }

  /** The engine's own error, with this stage's name on it. */
  failureOf(error: ShoalError): ShoalError {
    if (OF_THE_SESSION.has(error.code)) return error;
    const { index: stage, held, open } = this;
    const peer = open.route[stage]?.peer;
    const { index: shard, count } = held.shard;
    const what = `${this.name} failed: shard ${shard} of ${count} at peer ${peer}: ${error.message}`;
    const details = { stage, shard, peer, engine: error.code };
    return new ShoalError("STAGE_FAILED", what, details, error);
  }

  /** Frees the KV sequence. May be called twice. */
  close(error?: ShoalError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.held.engine.closeSession(this.handle).catch(() => {}); // a dead engine has no sequences
    this.#init.onEnd(this, error);
  }

  #accept(frame: PipelineFrame, from: Link): void {
    const { previous, next } = this.neighbours ?? {};
    switch (frame.type as FrameType) {
      case FrameType.Close:
        this.#expect(from, this.gateway.peer);
        this.close();
        return;
      case FrameType.Prompt:
        this.#expectFirst();
        this.#expect(from, this.gateway.peer);
        break;
      case FrameType.Credit:
      case FrameType.Resume:
      case FrameType.Replay:
        this.#expect(from, this.gateway.peer);
        break;
      case FrameType.Token:
        this.#expectFirst();
        this.#expect(from, previous?.peer);
        this.#previous = from;
        break;
      case FrameType.Activations:
        this.#expect(from, this.index === 0 ? undefined : previous?.peer);
        this.#previous = from;
        break;
      case FrameType.Echo:
        this.#expect(from, next?.peer);
        break;
      case FrameType.Open:
      case FrameType.Opened:
      case FrameType.Prefilled:
      case FrameType.Resumed:
      case FrameType.Embedding:
      case FrameType.Error:
      case FrameType.Times:
      default:
        throw new ShoalError(
          "FRAME_MALFORMED",
          `frame type ${frame.type} is not for an open stage`,
        );
    }
    this.held.engine.sendFrame(this.handle, frame.bytes);
  }

  #expect(from: Link, peer: string | undefined): void {
    if (from.peer !== peer) {
      throw new ShoalError(
        "COMMAND_UNAUTHORIZED",
        `a frame came from ${from.peer}, which has another place in the route`,
      );
    }
  }

  #expectFirst(): void {
    if (this.index !== 0)
      throw new ShoalError("FRAME_MALFORMED", "tokens are for the first stage");
  }

  #head(type: FrameType): FrameHead {
    return {
      type,
      flags: 0,
      stage: this.index,
      position: 0,
      count: 0,
      elapsedUs: 0,
      session: this.id,
    };
  }
}

/** The node's time to drain is over. */
export function stopping({ name, index }: StageSession): ShoalError {
  return new ShoalError("STAGE_LOST", `${name} is stopping`, { stage: index });
}

/** Errors of the engine that say what was wrong with the session, not with the engine. */
const OF_THE_SESSION: ReadonlySet<string> = new Set([
  "CONTEXT_EXCEEDED",
  "GRAMMAR_INVALID",
  "GRAMMAR_STUCK",
  "BUSY",
  "COMMAND_UNAUTHORIZED",
  "FRAME_MALFORMED",
]);
