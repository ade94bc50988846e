/** What a session of an engine is told, and what it uses of the loop around it. */
import type { Target } from "./channel.ts";
import type { FrameInput } from "./frame-input.ts";
import type { KeptSessions } from "./kept-sessions.ts";
import type { SamplingOptions } from "./sampling.ts";
import type { SentRowsMemory } from "./sent-rows.ts";
import type { Stage } from "./stage.ts";

/** How a node opens a session at its engine. */
export interface SessionRequest {
  /** The stage's number in this process. */
  stage: number;
  /** The session's name between node and engine. */
  handle: number;
  /** Its id, 32 hex digits. */
  session: string;
  /** This stage's index among `stages`. */
  index: number;
  stages: number;
  /** The peer that opened it. */
  gateway?: string;
  /** KV sequence. */
  sequence: number;
  promptTokens: number;
  /** The prompt and what an earlier session generated after it: i32 little-endian, base64. */
  known: string;
  /** The most tokens to generate. */
  maxTokens: number;
  /** Tokens that may be generated before the gateway gives more credit. */
  credit: number;
  /** The last stage gives the prompt's embedding, and no token; what was computed is not kept. */
  embeds?: boolean;
  /** Of the last stage. */
  sampling?: SamplingOptions;
  /** Of Mirostat, from an earlier session: what the last token left. */
  mu?: number;
  /** Links to the stages before and after in the ring, OWN_LINK within this process; undefined: this stage itself. */
  previous?: number;
  next?: number;
}

/** What a session uses of the loop around it. */
export interface SessionHost {
  readonly stage: Stage;
  readonly kept: KeptSessions;
  readonly sentRows: SentRowsMemory;
  /** Puts a decode into the queue. */
  addTurn(input: FrameInput): void;
  /** Sends a frame through the node. */
  relay(handle: number, target: Target, frame: Uint8Array): void;
  /** Whether the frame that is being taken has just come. Otherwise it may have waited for a decode to end, and says nothing about its way. */
  isFresh(): boolean;
  /** Sends a chunk of a prompt, which took `decodeMs`, after the tokens that wait (overtaken.ts). */
  sendLater(send: () => void, decodeMs: number): void;
}
