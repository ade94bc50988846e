/** A stage of this process, with what its sessions share: the queue of their turns, what earlier ones left, and counts. */
import { type EngineEvent, intsOf, type Target } from "./channel.ts";
import type { FrameInput } from "./frame-input.ts";
import type { KeptMatch, KeptSessions } from "./kept-sessions.ts";
import type { SentRowsMemory } from "./sent-rows.ts";
import type { SessionHost, SessionRequest } from "./session-request.ts";
import type { Stage } from "./stage.ts";
import { type TurnPolicy, Turns } from "./turns.ts";

export interface ServedStageInit {
  /** Its number in the process. */
  id: number;
  stage: Stage;
  policy: TurnPolicy;
  kept: KeptSessions;
  sentRows: SentRowsMemory;
}

/** What the loop does for all stages. */
export interface StageLoop {
  /** A turn was added. */
  onTurn(): void;
  /** Sends a frame of a session through the node. */
  relay(id: number, handle: number, target: Target, frame: Uint8Array): void;
  isFresh(): boolean;
  sendLater(send: () => void, decodeMs: number): void;
}

export class ServedStage implements SessionHost {
  readonly id: number;
  readonly stage: Stage;
  readonly kept: KeptSessions;
  readonly sentRows: SentRowsMemory;
  readonly turns: Turns<FrameInput>;
  #tokens = 0;
  #sharedTokens = 0;
  #toldTokens = 0;
  #msPerToken: number | undefined;

  readonly #loop: StageLoop;

  constructor(
    { id, stage, policy, kept, sentRows }: ServedStageInit,
    loop: StageLoop,
  ) {
    this.#loop = loop;
    this.id = id;
    this.stage = stage;
    this.kept = kept;
    this.sentRows = sentRows;
    this.turns = new Turns<FrameInput>(policy);
  }

  /** What a session may take over from earlier ones. It will have its place in the queue. */
  expect(request: SessionRequest): KeptMatch | undefined {
    const { known, promptTokens, sequence, stages, gateway, embeds } = request;
    this.turns.stages = stages;
    const tokens = intsOf(Buffer.from(known, "base64"));
    const wanted = { tokens, promptTokens };
    const nowMs = performance.now();
    const match =
      embeds === true
        ? undefined
        : this.kept.find(wanted, sequence, nowMs, gateway);
    this.kept.writeParked(match?.kept);
    return match;
  }

  addTurn(input: FrameInput): void {
    this.#loop.onTurn();
    this.turns.add(input);
  }

  relay(handle: number, target: Target, frame: Uint8Array): void {
    this.#loop.relay(this.id, handle, target, frame);
  }

  isFresh(): boolean {
    return this.#loop.isFresh();
  }

  sendLater(send: () => void, decodeMs: number): void {
    this.#loop.sendLater(send, decodeMs);
  }

  /** After a decode. */
  count(group: readonly FrameInput[], elapsedMs: number): void {
    for (const { count } of group) this.#tokens += count;
    if (group.length > 1) this.#sharedTokens += group.length;
    if (group.length > 1 || group[0]?.count !== 1) return;
    this.#msPerToken =
      this.#msPerToken === undefined
        ? elapsedMs
        : this.#msPerToken * 0.95 + elapsedMs * 0.05;
  }

  /** What the node should hear; undefined if it has. */
  news(): EngineEvent | undefined {
    if (this.#tokens === this.#toldTokens) return undefined;
    this.#toldTokens = this.#tokens;
    return {
      type: "stats",
      stage: this.id,
      tokens: this.#tokens,
      sharedTokens: this.#sharedTokens,
      msPerToken: this.#msPerToken,
    };
  }
}
