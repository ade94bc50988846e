/**
 * What an API is to the gateway: how it reads a request, and in which form it gives its answer, its stream and its errors. All that lies
 * between (waiting, the prompt, the generations, the client's leaving) is the same for each (`answer.ts`).
 */
import type { FastifyInstance } from "fastify";
import type { ReplyDelta } from "../chat/index.ts";
import type { SessionStatus, TokenizerPort } from "../inference/index.ts";
import type { Clock, ShoalError } from "../lib/index.ts";
import type { StreamForm } from "./event-stream.ts";
import type { Exchanges } from "./exchange.ts";
import type { HttpError } from "./http-error.ts";
import type { GatewaySettings } from "./options.ts";
import type { Replies, ReplyRequest } from "./replies.ts";

/** One API with its paths. */
export interface Api {
  routes: (
    app: FastifyInstance,
    settings: GatewaySettings,
    exchanges: Exchanges,
    replies: Replies,
  ) => void;
  errors: ErrorForm;
  /** What its paths begin with, so that an unknown one below has its error form too. */
  under: readonly string[];
}

/** An error as this API's clients read it. */
export type ErrorForm = (error: ShoalError, requestId: string) => HttpError;

/** One kind of request for text. */
export interface Kind<Asked extends Order = Order> {
  /** Throws REQUEST_INVALID and PARAMETER_UNSUPPORTED. */
  parse(body: unknown, context: ParseContext): Asked;
  /** One for each answer: it may count. */
  shape(head: AnswerHead, order: Asked): AnswerShape;
  stream: StreamForm;
  errors: ErrorForm;
}

export interface ParseContext {
  /** Unknown fields are errors. */
  strict: boolean;
  /** Told of each field that is not known here, if not strict. */
  onUnknown: (name: string) => void;
}

/** A parsed request. */
export interface Order extends ReplyRequest {
  /** undefined: whichever is served. */
  model: string | undefined;
  stream: boolean;
  /** Of a stream: its last event has the counts. */
  includeUsage: boolean;
  /** A stream opens when the request begins to wait. */
  includeProgress: boolean;
}

export interface AnswerHead {
  requestId: string;
  /** The name the model is served by. */
  model: string;
  /** What decides the bits of a reply besides the request. */
  fingerprint: string;
  /** Of prompt and reply together. */
  contextLength: number;
  tokenizer: Pick<TokenizerPort, "piece">;
  createdS: number;
  arrivedMs: number;
  clock: Clock;
}

export type FinishReason = "stop" | "length" | "tool_calls";

/** What a reply has gained with one token. */
export interface ReplyPart {
  /** May be empty: a token need not finish a character. */
  deltas: readonly ReplyDelta[];
  /** Generated so far, the end token included. */
  completionTokens: number;
  /** What the deltas were read from, those of parts without deltas before it included; not the end token. */
  tokens: readonly number[];
  /** If asked for: of the tokens since the last part that had some, the end token excluded. */
  logprobs?: readonly TokenLogprobs[];
  /** Set on the last part. */
  finish?: FinishReason;
  /** The stop string that ended it. */
  stoppedBy?: string;
}

export interface TokenLogprobs {
  token: number;
  /** Of its text, as the reply's reader gets it. */
  sizeBytes: number;
  /** Natural logarithm. */
  logprob: number;
  /** The likeliest first. */
  top: readonly { token: number; logprob: number }[];
}

/** One of the replies to a request, whole. */
export interface Choice {
  content: string;
  reasoning: string;
  calls: readonly WholeCall[];
  /** All three in the order in which they came. */
  blocks: readonly ReplyBlock[];
  finish: FinishReason;
  stoppedBy: string | undefined;
  /** Of each token of its text; undefined if not asked for. */
  logprobs?: readonly TokenLogprobs[] | undefined;
  completionTokens: number;
  /** Of these, with which it thought; the marks around it may count or not. */
  reasoningTokens: number;
  tokens: readonly number[];
}

/** What a reply consists of. */
export type ReplyBlock =
  | { kind: "content"; text: string; logprobs?: TokenLogprobs[] }
  | { kind: "reasoning"; text: string }
  | ({ kind: "call" } & WholeCall);

export interface WholeCall {
  id: string;
  name: string;
  /** JSON, as the model wrote it. */
  arguments: string;
}

/** So far, of all choices. */
export interface Counts {
  promptTokens: number;
  completionTokens: number;
  /** Of the choices that have begun; the first choice's first. */
  sessions: readonly SessionStatus[];
}

/** What a stream says next: JSON, or text that goes out as it is. */
export type StreamEvent = object | string;

/** An answer in one API's form: either `whole`, or for each choice `opening`, `part`… and `closing`, then once `end`. */
export interface AnswerShape {
  /** Before a choice's first part. */
  opening(index: number, counts: Counts): StreamEvent[];
  /** Not called for a part without anything. */
  part(index: number, part: ReplyPart, counts: () => Counts): StreamEvent[];
  closing(index: number, choice: Choice, counts: () => Counts): StreamEvent[];
  end(counts: Counts): StreamEvent[];
  /** The stream ends with this error; without it, the error's body is the last event. */
  failed?(error: HttpError): StreamEvent[];
  whole(choices: readonly Choice[], counts: Counts): object;
}
