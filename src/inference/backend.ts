/**
 * What the gateway needs from the cluster: the served model, whether it can answer now, and generated tokens. The roles join it to the
 * inference folder; tests give it a double.
 */
import type { NamedTemplates } from "../chat/index.ts";
import type { InfillTokens, SamplingOptions } from "../engine/index.ts";
import type { ShoalError } from "../lib/index.ts";
import type { SessionStatus } from "../status/index.ts";
import type { ModelFacts } from "./model-facts.ts";

/** What requests may call the model of a cluster. */
export interface ModelNames {
  cluster: string;
  /** The model's own name and its manifest; undefined while nobody has told them. */
  model: string | undefined;
  manifest: string | undefined;
}

export interface Backend {
  /** Of several clusters, each alone; of one, itself. */
  each(): readonly Backend[];
  names(): ModelNames;
  /** The model that the cluster serves now; undefined while none is known (nobody joined). */
  model(): ServedModel | undefined;
  /** Sessions that it has room for at once; 0 while it cannot answer. */
  maxSessions(): number;
  /**
   * Why the cluster cannot answer now; undefined when it can. A SWARM_NOT_READY error whose message names the missing shards, with
   * `missingShards` (numbers) and `missingLayers` ("8-15", …) in its details.
   */
  notReady(): ShoalError | undefined;
  /**
   * What `find` finds; while it gives an error that says why there is nothing yet, waits for the cluster to change. Throws what `find`
   * throws, BUSY if too many wait, the last reason when the time is over, and the signal's reason.
   */
  whenReady<T extends object>(
    find: () => T | ShoalError,
    arrival: Arrival,
  ): Promise<T>;
}

/** A request that has come. */
export interface Arrival {
  requestId: string;
  /** From when its time counts. */
  arrivedMs: number;
  signal: AbortSignal;
  /** Whose turn it takes where sessions are short: those of one flow share one turn. Unset: it shares with all that have none. */
  flow?: string | undefined;
  /** Told what it waits for, "shard 2 of 4 (layers 8-11)", with each change; undefined: it goes on. */
  onWaiting?: OnWaiting | undefined;
}

export type OnWaiting = (what: string | undefined) => void;

export interface ServedModel {
  /** The name in requests and in /v1/models, such as "shoal-demo". */
  id: string;
  manifestId: string;
  /** What decides the bits of its replies besides a request (`systemFingerprint`). */
  fingerprint: string;
  createdMs: number;
  /** Tokens of prompt and completion together. */
  contextLength: number;
  /** Jinja, from the model's file. */
  chatTemplate: string | undefined;
  /** For requests with tools or documents. */
  namedTemplates: NamedTemplates;
  facts: ModelFacts;
  tokenizer: TokenizerPort;
  /**
   * One generation. Throws BUSY (`retryAfterMs` in its details, if known) if there is no room; any other error names the stage. Ends right
   * after a token with `finish`. Frees every stage when the signal aborts or the iterator is returned.
   */
  generate(request: GenerateRequest): AsyncIterable<GeneratedToken>;
}

export interface TokenizerPort {
  encode(
    text: string,
    options: { addSpecial: boolean; parseSpecial: boolean },
  ): Promise<Int32Array>;
  /** UTF-8 bytes of a token; may hold part of a character. Control tokens give theirs only with `special`. */
  piece(token: number, special?: boolean): Uint8Array;
  /** Whether a token ends the generation. */
  isEndOfGeneration(token: number): boolean;
  /** The tokens that fill-in-the-middle prompts are made of. */
  infill: InfillTokens;
  /** Text of BOS and EOS, for chat templates; "" if the model has none. */
  bosText: string;
  eosText: string;
  /** Whether `addSpecial` prepends BOS. */
  addsBos: boolean;
  vocabSize: number;
}

export interface GenerateRequest extends Arrival {
  tokens: Int32Array;
  /** At least 1, and with `tokens` never more than the context. */
  maxTokens: number;
  sampling: SamplingOptions;
  /** The one thing that comes is the prompt's embedding. Only of a model whose facts say that it `embeds`. */
  embeds?: boolean | undefined;
  /** Called once, when it begins, with a function that tells where its time went so far. */
  onSession?: ((status: () => SessionStatus) => void) | undefined;
}

export interface GeneratedToken {
  token: number;
  /** Set on the last token. With "stop" it is the model's end-of-generation token and has no text. */
  finish?: "stop" | "length";
  /** What the model itself holds of it, where `sampling.logprobs` asks for that. Natural logarithms; of what is impossible -9999. */
  logprobs?: {
    logprob: number;
    /** The likeliest first. */
    top: readonly { token: number; logprob: number }[];
  };
  /** Instead of a token, where the request `embeds`; not normalized. */
  embedding?: Float32Array;
}
