/**
 * What the gateway needs of the swarm: the model that is served, whether it can answer now, and tokens for tokens. The roles join
 * it to the inference folder; tests give it a double.
 */
import type { SamplingOptions } from "../engine/index.ts";
import type { ShoalError } from "../lib/index.ts";

export interface Backend {
  /** The model the swarm serves now; undefined while none is known (nobody joined). */
  model(): ServedModel | undefined;
  /**
   * Why the swarm can't answer now; undefined when it can. A SWARM_NOT_READY error whose message names the missing shards, with
   * `missingShards` (numbers) and `missingLayers` ("8-15", …) in its details.
   */
  notReady(): ShoalError | undefined;
}

export interface ServedModel {
  /** The name clients ask for and /v1/models shows, such as "shoal-demo". */
  id: string;
  manifestId: string;
  createdMs: number;
  /** Tokens of prompt and completion together. */
  contextLength: number;
  /** Jinja, from the model's file. */
  chatTemplate: string | undefined;
  tokenizer: TokenizerPort;
  /**
   * One generation. Throws BUSY (`retryAfterMs` in its details, if known) where it can't be taken in; any other error names the
   * stage. Ends right after a token with `finish`. Frees every stage when the signal aborts or the iterator is returned.
   */
  generate(request: GenerateRequest): AsyncIterable<GeneratedToken>;
}

export interface TokenizerPort {
  encode(
    text: string,
    options: { addSpecial: boolean; parseSpecial: boolean },
  ): Promise<Int32Array>;
  /** UTF-8 bytes of a token; may hold part of a character. Control tokens give no bytes. */
  piece(token: number): Uint8Array;
  /** Text of BOS and EOS, for chat templates; "" where the model has none. */
  bosText: string;
  eosText: string;
  /** Whether `addSpecial` puts BOS in front. */
  addsBos: boolean;
  vocabSize: number;
}

export interface GenerateRequest {
  tokens: Int32Array;
  /** At least 1, and with `tokens` never more than the context. */
  maxTokens: number;
  sampling: SamplingOptions;
  signal: AbortSignal;
  requestId: string;
}

export interface GeneratedToken {
  token: number;
  /** Set on the last token. That of "stop" is the model's end of generation and has no text. */
  finish?: "stop" | "length";
}
