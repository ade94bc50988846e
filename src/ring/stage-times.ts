/**
 * Where a token's time goes at one stage: medians over the last tokens of a session, sent to the gateway now and then after a result. Only
 * durations, so that no two clocks are compared.
 *
 *     0  u32  tokens decoded one by one so far
 *     4  u32  compute, µs: from the decode's start to its result
 *     8  u32  queue, µs: from the frame's arrival to the decode's start
 *    12  u32  wire, µs: half the way to the next stage and back, with the token's own frame, where neither end was computing when it came;
 *              0xffffffff if unknown
 *    16  u32  1 if the way to the next stage is direct, from engine to engine
 */
import { ShoalError } from "../lib/index.ts";

export interface StageTimes {
  computeMs: number;
  queueMs: number;
  /** Undefined: unknown. */
  wireMs: number | undefined;
  /** Frames go to the next stage from engine to engine, not through the nodes. Of the stage itself: true. */
  direct: boolean;
}

export const TIMES_BYTES = 20;
const UNKNOWN = 0xffffffff;
/** Tokens that a median is made of. */
const KEPT = 64;
/** Sent after tokens 1, 2, 4, 8, 16, and each 16th from there, so that short replies have times too and long ones cost one frame in 16. */
const EVERY = 16;
/** Tokens between two echoes. One that found the next stage computing is not answered, so the next token asks again. */
const ECHO_EVERY = 4;

export class StageClock {
  #computeMs: number[] = [];
  #queueMs: number[] = [];
  #wireMs: number[] = [];
  #echoes = 0;
  /** Asked for again once so many tokens were decoded. */
  #nextEcho = 0;
  #tokens = 0;
  #asked: { position: number; sentMs: number } | undefined;

  get tokens(): number {
    return this.#tokens;
  }

  /** Whether the token that is being sent should be answered by an echo. */
  asksEcho(position: number, nowMs: number): boolean {
    if (this.#tokens < this.#nextEcho) return false;
    this.#asked = { position, sentMs: nowMs };
    return true;
  }

  echoed(position: number, nowMs: number): void {
    if (this.#asked?.position !== position) return;
    const wireMs = (nowMs - this.#asked.sentMs) / 2;
    this.#asked = undefined;
    this.#nextEcho = this.#tokens + ECHO_EVERY;
    this.#wireMs[this.#echoes++ % KEPT] = wireMs;
  }

  /** Records one token. True if it is time to send TIMES. */
  add(computeMs: number, queueMs: number): boolean {
    const at = this.#tokens++ % KEPT;
    this.#computeMs[at] = computeMs;
    this.#queueMs[at] = queueMs;
    const n = this.#tokens;
    return n % EVERY === 0 || (n < EVERY && (n & (n - 1)) === 0);
  }

  times(): Omit<StageTimes, "direct"> {
    return {
      computeMs: median(this.#computeMs) ?? 0,
      queueMs: median(this.#queueMs) ?? 0,
      wireMs: median(this.#wireMs),
    };
  }
}

export function encodeTimes(tokens: number, times: StageTimes): Uint8Array {
  const out = Buffer.alloc(TIMES_BYTES);
  out.writeUInt32LE(Math.min(tokens, UNKNOWN), 0);
  out.writeUInt32LE(toUs(times.computeMs), 4);
  out.writeUInt32LE(toUs(times.queueMs), 8);
  out.writeUInt32LE(
    times.wireMs === undefined ? UNKNOWN : toUs(times.wireMs),
    12,
  );
  out.writeUInt32LE(times.direct ? 1 : 0, 16);
  return out;
}

export function decodeTimes(body: Uint8Array): StageTimes {
  if (body.length !== TIMES_BYTES)
    throw new ShoalError(
      "FRAME_MALFORMED",
      `TIMES has ${body.length} bytes, expected ${TIMES_BYTES}`,
    );
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const wire = view.getUint32(12, true);
  return {
    computeMs: view.getUint32(4, true) / 1000,
    queueMs: view.getUint32(8, true) / 1000,
    wireMs: wire === UNKNOWN ? undefined : wire / 1000,
    direct: view.getUint32(16, true) === 1,
  };
}

function toUs(ms: number): number {
  return Math.min(UNKNOWN - 1, Math.max(0, Math.round(ms * 1000)));
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
