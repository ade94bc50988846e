/**
 * One session at one stage: takes the frames of the stage before, decodes in turn, sends the result to the stage after. The last
 * stage samples and tells the first stage and the gateway at once.
 */
import { bytesOf, intsOf, type StageEngine, Want } from "../engine/index.ts";
import { ShoalError } from "../lib/index.ts";
import {
  Flag,
  type FrameHead,
  FrameType,
  type PipelineFrame,
} from "./frames.ts";
import type { Link } from "./links.ts";
import type { OpenBody } from "./open.ts";
import { layersOf } from "./route.ts";
import type { Scheduler } from "./scheduler.ts";
import { encodeTimes, StageClock } from "./stage-times.ts";

/** A shard this node computes with. */
export interface HeldShard {
  /** CID of the manifest. */
  manifest: string;
  layerStart: number;
  layerEnd: number;
  /** Its number in the plan: a name for people. */
  shard: { index: number; count: number };
  engine: StageEngine;
}

/** A held shard with what its sessions share. */
export interface Held extends HeldShard {
  scheduler: Scheduler;
  freeSequences: number[];
  /** It accepts no new session: the node stops or gives the shard back. */
  draining: boolean;
  /** Moving average of single-token decodes, ms; undefined before the first. */
  msPerToken: number | undefined;
}

export interface StageSessionInit {
  id: string;
  /** This stage's index in the route. */
  index: number;
  open: OpenBody;
  held: Held;
  /** KV sequence in the engine. */
  sequence: number;
  gateway: Link;
  /** Called once, when the session is over at this stage. */
  onEnd: (session: StageSession, error: ShoalError | undefined) => void;
  onDecoded: (tokens: number, elapsedMs: number) => void;
}

export class StageSession {
  readonly id: string;
  readonly index: number;
  readonly open: OpenBody;
  readonly held: Held;
  readonly sequence: number;
  readonly gateway: Link;
  /** The next stage; after the last the first. Undefined if that is this stage itself. */
  next: Link | undefined;
  #init: StageSessionInit;
  /** The position the next frame must start at. */
  #position = 0;
  #closed = false;
  #clock = new StageClock();
  /** Of the last decode. */
  #computeMs = 0;

  constructor(init: StageSessionInit) {
    this.#init = init;
    ({
      id: this.id,
      index: this.index,
      open: this.open,
      held: this.held,
      sequence: this.sequence,
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

  /** "stage 2 (layers 4-5)", for errors. */
  get name(): string {
    return `stage ${this.index} (${layersOf(this.held)})`;
  }

  opened(): void {
    this.gateway.send(this.#head(FrameType.Opened));
  }

  /** A frame for this session. Whatever is wrong with it ends the session. */
  onFrame(frame: PipelineFrame, from: Link): void {
    try {
      this.#accept(frame, from);
    } catch (error) {
      this.fail(ShoalError.from(error));
    }
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
    if (error.code === "CONTEXT_EXCEEDED") return error;
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
    this.held.scheduler.drop(this.key);
    this.held.engine.freeSequence(this.sequence).catch(() => {}); // a dead engine has no sequences
    this.#init.onEnd(this, error);
  }

  #accept(frame: PipelineFrame, from: Link): void {
    switch (frame.type as FrameType) {
      case FrameType.Close:
        this.#expect(from, this.gateway.peer);
        this.close();
        return;
      case FrameType.Prompt:
        this.#expect(from, this.gateway.peer);
        this.#expectFirst();
        this.#queue(
          frame,
          intsOf(frame.body),
          undefined,
          (frame.flags & Flag.Sample) !== 0,
        );
        return;
      case FrameType.Token:
        this.#expect(from, this.open.route.at(-1)?.peer);
        this.#expectFirst();
        this.#echo(frame, from, this.open.route.length - 1);
        this.#queue(frame, intsOf(frame.body), undefined, true);
        return;
      case FrameType.Activations: {
        this.#expect(from, this.open.route[this.index - 1]?.peer);
        this.#echo(frame, from, this.index - 1);
        const split = frame.count * 4;
        const tokens = intsOf(frame.body.subarray(0, split));
        this.#queue(
          frame,
          tokens,
          frame.body.subarray(split),
          (frame.flags & Flag.Sample) !== 0,
        );
        return;
      }
      case FrameType.Echo:
        this.#expect(from, this.next?.peer);
        this.#clock.echoed(frame.position, performance.now());
        return;
      case FrameType.Open:
      case FrameType.Opened:
      case FrameType.Prefilled:
      case FrameType.Error:
      case FrameType.Times:
      default:
        throw new ShoalError(
          "FRAME_MALFORMED",
          `frame type ${frame.type} is not for an open stage`,
        );
    }
  }

  /** Tells the stage before that its frame is here. */
  #echo({ flags, position }: PipelineFrame, from: Link, stage: number): void {
    if ((flags & Flag.Echo) === 0) return;
    from.send({ ...this.#head(FrameType.Echo), stage, position });
  }

  /** The flag on a token that is sent on, if its way should be measured. */
  #echoFlag(position: number, count: number): number {
    const asks =
      count === 1 && this.#clock.asksEcho(position, performance.now());
    return asks ? Flag.Echo : 0;
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

  #queue(
    frame: PipelineFrame,
    tokens: Int32Array,
    activations: Uint8Array | undefined,
    sample: boolean,
  ): void {
    if (frame.position !== this.#position) {
      throw new ShoalError(
        "FRAME_MALFORMED",
        `got position ${frame.position}, expected ${this.#position}`,
      );
    }
    this.#addTurn(tokens, activations, sample);
  }

  #addTurn(
    tokens: Int32Array,
    activations: Uint8Array | undefined,
    sample: boolean,
  ): void {
    const position = this.#position;
    const arrivedMs = performance.now();
    this.#position += tokens.length;
    this.held.scheduler.add(this.key, {
      run: async () => {
        const queueMs = performance.now() - arrivedMs;
        await this.#decode(position, tokens, activations, sample);
        if (tokens.length === 1) this.#tellTimes(queueMs);
      },
      fail: (error) => this.fail(this.failureOf(error)),
    });
  }

  async #decode(
    position: number,
    tokens: Int32Array,
    activations: Uint8Array | undefined,
    sample: boolean,
  ): Promise<void> {
    if (this.#closed) return;
    const startedMs = performance.now();
    const want = sample ? Want.Token : Want.Nothing;
    const result = await this.held.engine.decode(
      this.sequence,
      position,
      tokens,
      activations,
      want,
    );
    const elapsedMs = performance.now() - startedMs;
    this.#computeMs = elapsedMs;
    this.#init.onDecoded(tokens.length, elapsedMs);
    if (this.#closed) return;
    const elapsedUs = elapsedMs * 1000;
    switch (result.kind) {
      case "activations": {
        const echo = this.#echoFlag(position, tokens.length);
        const flags = (sample ? Flag.Sample : 0) | echo;
        const head = {
          ...this.#head(FrameType.Activations),
          flags,
          stage: this.index + 1,
          position,
          count: tokens.length,
          elapsedUs,
        };
        this.next?.send(head, bytesOf(tokens), result.bytes);
        return;
      }
      case "nothing":
        this.gateway.send({
          ...this.#head(FrameType.Prefilled),
          position,
          count: tokens.length,
          elapsedUs,
        });
        return;
      case "token":
        this.#onSampled(
          position + tokens.length,
          result.token,
          result.endOfGeneration,
          elapsedUs,
        );
        return;
      case "logits":
        throw new ShoalError("INTERNAL", "logits were not requested");
      default:
        result satisfies never;
    }
  }

  /** The last stage sampled `token` for `position`: the first stage continues with it, unless it is the end. */
  #onSampled(
    position: number,
    token: number,
    endOfGeneration: boolean,
    elapsedUs: number,
  ): void {
    const generated = position - this.open.promptTokens + 1;
    const flags = endOfGeneration
      ? Flag.Stop
      : generated >= this.open.maxTokens
        ? Flag.Length
        : 0;
    const tokens = Int32Array.of(token);
    const head: FrameHead = {
      ...this.#head(FrameType.Token),
      position,
      count: 1,
      flags,
      elapsedUs,
    };
    if (flags === 0) {
      if (this.next === undefined) this.#addTurn(tokens, undefined, true);
      else {
        const echo = this.#echoFlag(position, 1);
        const toFirst = { ...head, stage: 0, flags: flags | echo };
        this.next.send(toFirst, bytesOf(tokens));
      }
    }
    this.gateway.send(head, bytesOf(tokens));
  }

  /** After the result is sent. */
  #tellTimes(queueMs: number): void {
    if (!this.#clock.add(this.#computeMs, queueMs) || this.#closed) return;
    const times = this.#clock.times();
    if (this.next === undefined) times.wireMs = 0;
    this.gateway.send(
      this.#head(FrameType.Times),
      encodeTimes(this.#clock.tokens, times),
    );
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
