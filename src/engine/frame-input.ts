/** A frame that waits for its decode, in memory that a session uses again and again. It is a turn of the queue, too. */
import { HEADER_BYTES } from "../ring/index.ts";
import type { RingSession } from "./ring-session.ts";

export class FrameInput {
  readonly owner: RingSession;
  /** The owner's handle. */
  readonly session: number;
  readonly sequence: number;
  position = 0;
  /** The last row is to be sampled. */
  samples = false;
  arrivedMs = 0;
  tokens = new Int32Array(1);
  /** (n, width); undefined at the first stage. */
  activations: Float32Array | undefined;
  #memory = new ArrayBuffer(4);
  #bytes = new Uint8Array(this.#memory);

  constructor(owner: RingSession) {
    this.owner = owner;
    this.session = owner.handle;
    this.sequence = owner.sequence;
  }

  get count(): number {
    return this.tokens.length;
  }

  /** The only one, where it shares a decode. */
  get token(): number {
    return this.tokens[0] ?? 0;
  }

  /** Its last row gives the prompt's embedding. */
  get embeds(): boolean {
    return this.samples && this.owner.embeds;
  }

  /** Rows of the decode. What is embedded shares none, so it counts as a chunk. */
  get rows(): number {
    return this.embeds ? Math.max(2, this.count) : this.count;
  }

  load(frame: Buffer, samples: boolean): void {
    const length = frame.length - HEADER_BYTES;
    const count = frame.readUInt32LE(8);
    this.#fit(length, count);
    this.#bytes.set(frame.subarray(HEADER_BYTES));
    this.position = frame.readUInt32LE(4);
    this.samples = samples;
    this.arrivedMs = performance.now();
  }

  loadToken(position: number, token: number): void {
    this.#fit(4, 1);
    this.tokens[0] = token;
    this.position = position;
    this.samples = true;
    this.arrivedMs = performance.now();
  }

  /** Views of the tokens and the activations behind them. They stay, as long as frames have the same shape. */
  #fit(length: number, count: number): void {
    const values = (length >> 2) - count;
    if (
      this.tokens.length === count &&
      (this.activations?.length ?? 0) === values &&
      this.#memory.byteLength >= length &&
      this.tokens.buffer === this.#memory
    )
      return;
    if (
      this.#memory.byteLength < length ||
      this.#memory.byteLength > 16 * Math.max(length, 4096)
    ) {
      this.#memory = new ArrayBuffer(length);
      this.#bytes = new Uint8Array(this.#memory);
    }
    this.tokens = new Int32Array(this.#memory, 0, count);
    this.activations =
      values === 0
        ? undefined
        : new Float32Array(this.#memory, 4 * count, values);
  }
}

export class InputPool {
  readonly #owner: RingSession;
  readonly #free: FrameInput[] = [];

  constructor(owner: RingSession) {
    this.#owner = owner;
  }

  take(frame: Buffer, samples: boolean): FrameInput {
    const input = this.#free.pop() ?? new FrameInput(this.#owner);
    input.load(frame, samples);
    return input;
  }

  takeToken(position: number, token: number): FrameInput {
    const input = this.#free.pop() ?? new FrameInput(this.#owner);
    input.loadToken(position, token);
    return input;
  }

  /** It was decoded. */
  giveBack(input: FrameInput): void {
    this.#free.push(input);
  }
}
