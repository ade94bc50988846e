/**
 * One session at the stage of this process: takes the frames of the stage before, and makes those for the stage after. The last stage samples,
 * sends the token to the first stage, and then tells the gateway.
 *
 * Frames between two stages may take two ways: direct, or through the nodes. When the way changes, what may not have arrived is sent again,
 * and whoever has it already drops it. So a session does not notice.
 */
import { ShoalError } from "../lib/index.ts";
import {
  encodeTimes,
  encodeToken,
  Flag,
  FrameType,
  HEADER_BYTES,
  StageClock,
  type StageTimes,
} from "../ring/index.ts";
import { Target } from "./channel.ts";
import { FrameWriter, viewOf } from "./frame-writer.ts";
import type { KeptMatch } from "./kept-sessions.ts";
import type { RingLink } from "./ring-links.ts";
import { isPlain, type Sampler } from "./sampler.ts";
import { SentFrames } from "./sent-frames.ts";
import { beginRecord, replayed, type SessionRecord } from "./session-record.ts";
import type { SessionHost, SessionRequest } from "./session-request.ts";
import { type FrameInput, InputPool } from "./frame-input.ts";

export class RingSession {
  readonly handle: number;
  readonly sequence: number;
  readonly index: number;
  /** It ends with the prompt's embedding. */
  readonly embeds: boolean;
  readonly next: RingLink | undefined;
  readonly previous: RingLink | undefined;
  readonly #request: SessionRequest;
  /** The stage that computes it. */
  readonly host: SessionHost;
  readonly #sampler: Sampler | undefined;
  readonly #writer: FrameWriter;
  readonly #sent: SentFrames;
  readonly #inputs: InputPool;
  readonly #clock = new StageClock();
  /** Frames that wait for their decode. */
  #queued = 0;
  /** Frames that other sessions' tokens may overtake, but not its own. */
  #overtaken = 0;
  readonly #token = new Int32Array(1);
  /** The position the next frame must start at. */
  #position = 0;
  /** Tokens that may be generated in all. */
  #credit: number;
  /** Of the token that waits for credit; -1: none does. */
  #waiting = -1;
  #computeMs = 0;
  /** What it may take over; asked for by RESUME. */
  #match: KeptMatch | undefined;
  /** Undefined until it begins: until then its sequence may have what another session left. */
  #record: SessionRecord | undefined;
  /** The next stage has the tokens before. */
  #sendFrom = 0;

  constructor(
    request: SessionRequest,
    host: SessionHost,
    sampler: Sampler | undefined,
    previous: RingLink | undefined,
    next: RingLink | undefined,
    match: KeptMatch | undefined,
  ) {
    this.#match = match;
    this.#request = request;
    this.host = host;
    this.#sampler = sampler;
    this.#credit = request.credit;
    this.embeds = request.embeds === true;
    ({
      handle: this.handle,
      sequence: this.sequence,
      index: this.index,
    } = request);
    this.previous = previous;
    this.next = next;
    this.#writer = new FrameWriter(request.session);
    // The gateway keeps at most stages + 1 chunks of a prompt on their way; a token follows the one before it.
    this.#sent = new SentFrames(request.stages + 2);
    this.#inputs = new InputPool(this);
  }

  get isLast(): boolean {
    return this.index === this.#request.stages - 1;
  }

  /** What was computed; undefined if nothing was. */
  get record(): SessionRecord | undefined {
    return this.#record;
  }

  /** Whether the frame names this session at this stage. */
  isNamedBy(frame: Buffer): boolean {
    return this.#writer.isNamedBy(frame, this.index);
  }

  /** A frame from the gateway or a neighbour, whose right to send it was checked. Throws FRAME_MALFORMED. */
  onFrame(frame: Buffer): void {
    const position = frame.readUInt32LE(4);
    switch (frame[0] as FrameType) {
      case FrameType.Token:
        if (frame.length !== HEADER_BYTES + 4)
          throw new ShoalError("FRAME_MALFORMED", "more than a token");
        this.#take(frame);
        return;
      case FrameType.Prompt:
      case FrameType.Activations:
        this.#take(frame);
        return;
      case FrameType.Credit:
        this.#onCredit(frame.readUInt32LE(8));
        return;
      case FrameType.Echo:
        if (!this.host.isFresh()) return;
        this.#clock.echoed(position, performance.now());
        return;
      case FrameType.Resume:
        this.#resume(position, frame.readUInt32LE(8));
        return;
      case FrameType.Replay:
        this.#replay(position, frame.readUInt32LE(8));
        return;
      default:
        throw new ShoalError(
          "FRAME_MALFORMED",
          `frame type ${frame[0]} is not for an open stage`,
        );
    }
  }

  /** Sends what the next stage may lack, after the way to it has changed. */
  sendAgain(): void {
    for (const frame of this.#sent.kept()) this.#send(frame);
  }

  /** What a decode of `input` gave: `activations` (n, width), or on the last stage logits at `row` of the decode. */
  onDecoded(
    input: FrameInput,
    activations: Float32Array | undefined,
    row: number,
    startedMs: number,
    elapsedMs: number,
  ): void {
    this.#computeMs = elapsedMs;
    this.#queued--;
    const { position, count, samples, arrivedMs } = input;
    this.#record?.add(input.tokens);
    if (activations !== undefined) this.#passOn(input, activations, elapsedMs);
    else {
      // A session's own samples were accepted when they were drawn. Only the prompt comes in larger chunks or at the start.
      if (this.#sampler?.expects(position) === false)
        this.#sampler.accept(input.tokens, position);
      if (input.embeds) this.#tellEmbedding(position + count, elapsedMs);
      else if (samples) this.#sample(position + count, row, elapsedMs);
      else this.#tell(FrameType.Prefilled, 0, position, count, elapsedMs);
    }
    this.#inputs.giveBack(input);
    if (count === 1 && this.#clock.add(elapsedMs, startedMs - arrivedMs))
      this.#tellTimes();
  }

  close(): void {
    this.#sampler?.[Symbol.dispose]();
  }

  /** Begins with `from` tokens of an earlier session. */
  #resume(from: number, sendFrom: number): void {
    const match = this.#match;
    if (this.#record !== undefined || from > (match?.tokens ?? 0))
      throw new ShoalError(
        "FRAME_MALFORMED",
        `cannot resume at position ${from}`,
      );
    this.#begin(from);
    this.#sendFrom = sendFrom;
    this.#tell(FrameType.Resumed, 0, from, 0, 0);
  }

  #begin(from: number): void {
    const { host, sequence, isLast } = this;
    const match = this.#match;
    this.#match = undefined;
    this.#record = beginRecord(host, match, {
      sequence,
      from,
      promptTokens: this.#request.promptTokens,
      sends: !isLast,
    });
    this.#sampler?.accept(this.#record.tokens(0, from), 0);
    this.#position = from;
  }

  /** Sends rows of an earlier session to a stage that takes the place of one that was lost. */
  #replay(position: number, count: number): void {
    const { batchTokens } = this.host.stage;
    const again = replayed(this.#record, position, count, batchTokens);
    const { tokens, sent } = again;
    const frame = this.#activations(position, tokens);
    sent.read(position, frame.subarray(HEADER_BYTES + 4 * count));
    this.#send(frame);
  }

  /** A frame for the next stage, whose rows are still to be filled in. */
  #activations(
    position: number,
    tokens: Int32Array,
    flags = 0,
    elapsedMs = 0,
  ): Buffer {
    const { length: count } = tokens;
    const rowBytes = 4 * this.host.stage.activationLength;
    const frame = this.#sent.add(HEADER_BYTES + count * (4 + rowBytes));
    this.#writer.head(frame, {
      type: FrameType.Activations,
      flags,
      stage: this.index + 1,
      position,
      count,
      elapsedMs,
    });
    frame.set(viewOf(tokens), HEADER_BYTES);
    return frame;
  }

  #take(frame: Buffer): void {
    if (this.#record === undefined) this.#begin(0);
    const position = frame.readUInt32LE(4);
    // Sent again after a change of the way, and here already.
    if (position < this.#position) return;
    if (position > this.#position)
      throw new ShoalError(
        "FRAME_MALFORMED",
        `got position ${position}, expected ${this.#position}`,
      );
    const flags = frame[1] ?? 0;
    if ((flags & Flag.Echo) !== 0 && this.host.isFresh()) this.#echo(position);
    const samples = frame[0] === FrameType.Token || (flags & Flag.Sample) !== 0;
    // The gateway's window of a prompt is one chunk more than there are stages.
    if (this.#queued > this.#request.stages + 1)
      throw new ShoalError(
        "BUSY",
        "too many frames are waiting in this session",
      );
    const input = this.#inputs.take(frame, samples);
    this.#queued++;
    this.#position += input.count;
    this.host.addTurn(input);
  }

  #passOn(
    input: FrameInput,
    activations: Float32Array,
    elapsedMs: number,
  ): void {
    const { position, count, samples } = input;
    this.#record?.sent?.add(viewOf(activations));
    if (position + count <= this.#sendFrom) {
      this.#tell(FrameType.Prefilled, 0, position, count, elapsedMs);
      return;
    }
    const echo = this.#echoFlag(position, count);
    const flags = (samples ? Flag.Sample : 0) | echo;
    const frame = this.#activations(position, input.tokens, flags, elapsedMs);
    frame.set(viewOf(activations), HEADER_BYTES + 4 * count);
    if (count === 1 && this.#overtaken === 0) {
      this.#send(frame);
      return;
    }
    this.#overtaken++;
    this.host.sendLater(() => {
      this.#overtaken--;
      this.#send(frame);
    }, elapsedMs);
  }

  /** The last stage draws the token of `position`: the first stage continues with it, unless it is the end. */
  #sample(position: number, row: number, elapsedMs: number): void {
    const { stage } = this.host;
    if (this.#sampler === undefined)
      throw new ShoalError(
        "ENGINE_FAILED",
        "the session was not opened for sampling",
      );
    const drawn = this.#sampler.sample(stage, position, row);
    const generated = position - this.#request.promptTokens + 1;
    const flags = stage.isEndOfGeneration(drawn.token)
      ? Flag.Stop
      : generated >= this.#request.maxTokens
        ? Flag.Length
        : 0;
    this.#token[0] = drawn.token;
    if (flags === 0) {
      if (generated < this.#credit) this.#continue(position);
      else this.#waiting = position;
    }
    const body = isPlain(drawn) ? this.#token : encodeToken(drawn);
    this.#tell(FrameType.Token, flags, position, 1, elapsedMs, body);
  }

  #tellEmbedding(position: number, elapsedMs: number): void {
    const { embedding } = this.host.stage;
    const of = { type: FrameType.Embedding, flags: 0, stage: this.index };
    const head = { ...of, position, count: embedding.length, elapsedMs };
    const frame = this.#writer.large(head, viewOf(embedding));
    this.host.relay(this.handle, Target.Gateway, frame);
  }

  /** Sends the token that was drawn last to the first stage. */
  #continue(position: number): void {
    if (this.next === undefined) {
      this.#position = position + 1;
      this.#queued++;
      this.host.addTurn(this.#inputs.takeToken(position, this.#token[0] ?? 0));
      return;
    }
    const echo = this.#echoFlag(position, 1);
    const frame = this.#sent.add(HEADER_BYTES + 4);
    this.#writer.head(frame, {
      type: FrameType.Token,
      flags: echo,
      stage: 0,
      position,
      count: 1,
      elapsedMs: 0,
    });
    frame.set(viewOf(this.#token), HEADER_BYTES);
    this.#send(frame);
  }

  #onCredit(tokens: number): void {
    this.#credit = Math.max(this.#credit, tokens);
    if (this.#waiting < 0) return;
    const position = this.#waiting;
    if (position - this.#request.promptTokens + 1 >= this.#credit) return;
    this.#waiting = -1;
    this.#continue(position);
  }

  #send(frame: Buffer): void {
    if (this.next?.send(frame) !== true)
      this.host.relay(this.handle, Target.Next, frame);
  }

  #echo(position: number): void {
    const to = this.index === 0 ? this.#request.stages - 1 : this.index - 1;
    const frame = this.#writer.small({
      type: FrameType.Echo,
      flags: 0,
      stage: to,
      position,
      count: 0,
      elapsedMs: 0,
    });
    if (this.previous?.send(frame) !== true)
      this.host.relay(this.handle, Target.Previous, frame);
  }

  /** The flag on a token that is sent on, if its way should be measured. */
  #echoFlag(position: number, count: number): number {
    const asks =
      count === 1 &&
      this.next !== undefined &&
      this.#clock.asksEcho(position, performance.now());
    return asks ? Flag.Echo : 0;
  }

  #tell(
    type: FrameType,
    flags: number,
    position: number,
    count: number,
    elapsedMs: number,
    body?: Int32Array | Uint8Array,
  ): void {
    const stage = this.index;
    const fields = { type, flags, stage, position, count, elapsedMs };
    this.host.relay(
      this.handle,
      Target.Gateway,
      this.#writer.small(fields, body),
    );
  }

  #tellTimes(): void {
    const times: StageTimes = {
      ...this.#clock.times(),
      direct: this.next?.isDirect ?? true,
    };
    if (this.next === undefined) times.wireMs = 0;
    const body = encodeTimes(this.#clock.tokens, times);
    this.#tell(FrameType.Times, 0, 0, 0, this.#computeMs, body);
  }
}
