/** What a session has computed at this stage so far: its tokens, and the rows that it sent on. */
import { ShoalError } from "../lib/index.ts";
import type { KeptMatch } from "./kept-sessions.ts";
import type { KnownTokens } from "./prefix-rules.ts";
import { SentRows } from "./sent-rows.ts";
import type { SessionHost } from "./session-request.ts";

export class SessionRecord {
  readonly #promptTokens: number;
  #tokens: Int32Array;
  #length = 0;
  readonly sent: SentRows | undefined;
  /** As in KeptTokens: of what it began with. */
  readonly owner: string | undefined;

  /** `sent`: undefined for the last stage, which sends no rows; or where those of the first positions are not there. */
  constructor(
    promptTokens: number,
    before: Int32Array,
    sent: SentRows | undefined,
    owner?: string,
  ) {
    this.owner = owner;
    this.#promptTokens = promptTokens;
    this.#tokens = new Int32Array(Math.max(256, 2 * before.length));
    this.sent = sent;
    this.add(before);
  }

  get length(): number {
    return this.#length;
  }

  /** The tokens of a decode. */
  add(tokens: Int32Array): void {
    const length = this.#length + tokens.length;
    if (length > this.#tokens.length) {
      const more = new Int32Array(2 * length);
      more.set(this.#tokens.subarray(0, this.#length));
      this.#tokens = more;
    }
    this.#tokens.set(tokens, this.#length);
    this.#length = length;
  }

  tokens(from: number, to: number): Int32Array {
    return this.#tokens.subarray(from, to);
  }

  get known(): KnownTokens {
    return {
      tokens: this.#tokens.slice(0, this.#length),
      promptTokens: this.#promptTokens,
    };
  }
}

/** Of rows that a session sent on: those that are to be sent again. Throws FRAME_MALFORMED if they are not there. */
export function replayed(
  record: SessionRecord | undefined,
  position: number,
  count: number,
  most: number,
): { tokens: Int32Array; sent: SentRows } {
  const sent = record?.sent;
  if (
    record === undefined ||
    sent === undefined ||
    position + count > Math.min(record.length, sent.length) ||
    count > most
  )
    throw new ShoalError(
      "FRAME_MALFORMED",
      `cannot send ${count} tokens from position ${position} again`,
    );
  return { tokens: record.tokens(position, position + count), sent };
}

/** In the folder of kept sessions, with its facts beside it. */
export interface WrittenSession {
  path: string;
  bytes: number;
  /** Positions that it has. */
  tokens: number;
}

interface Running {
  host: SessionHost;
  sequence: number;
  record: SessionRecord | undefined;
}

/** Writes what a session has so far, for a node that is to take this one's place; the session goes on. Throws STAGE_FAILED. */
export function writeSession(session: Running | undefined): WrittenSession {
  const { host, sequence, record } = session ?? {};
  const file = record && host?.kept.writeRunning(sequence ?? 0, record);
  if (file === undefined)
    throw new ShoalError(
      "STAGE_FAILED",
      "the session has too little to hand over, or there is no room for it",
    );
  return { path: file.path, bytes: file.bytes, tokens: file.tokens.length };
}

/**
 * Of a session that begins in `sequence`, with the first `from` tokens of an earlier one. Throws STAGE_FAILED if they are not to be had any
 * more; then the next try does not find them.
 */
export function beginRecord(
  { kept, stage, sentRows }: SessionHost,
  match: KeptMatch | undefined,
  options: {
    sequence: number;
    from: number;
    promptTokens: number;
    /** Its rows go to another stage. */
    sends: boolean;
  },
): SessionRecord {
  const { sequence, from, promptTokens, sends } = options;
  if (match === undefined || from === 0) {
    kept.free(sequence);
    const sent = sends
      ? new SentRows(sentRows, 4 * stage.activationLength)
      : undefined;
    return new SessionRecord(promptTokens, new Int32Array(), sent);
  }
  const { tokens, sent, owner } = match.kept;
  const before =
    sends && (sent?.length ?? 0) >= from ? sent?.upTo(from) : undefined;
  if (!kept.give(match, sequence, from)) {
    before?.[Symbol.dispose]();
    throw new ShoalError(
      "STAGE_FAILED",
      "what was computed before is not here any more",
    );
  }
  const begun = tokens.subarray(0, from);
  return new SessionRecord(promptTokens, begun, before, owner);
}
