/** From a parsed request to its running generation: one entry for the API and for a client in this process. */
import type {
  Arrival,
  ServedModel,
  SessionStatus,
} from "../inference/index.ts";
import { generateText, type TextPart } from "./generation.ts";
import { GATEWAY_DEFAULTS, type GatewaySettings } from "./options.ts";
import { Prompter } from "./prompt.ts";
import type { Order } from "./request.ts";
import { invalid } from "./validate.ts";

export type ReplyRequest = Pick<
  Order,
  "prompt" | "maxTokens" | "stop" | "sampling"
>;

/** A running generation and its counts. */
export interface Reply {
  promptTokens: number;
  completionTokens: number;
  /** Where its time went so far; undefined if the backend does not tell. */
  session(): SessionStatus | undefined;
  /** Returning early frees the stages. */
  generated: AsyncGenerator<TextPart, void, undefined>;
}

export type ReplySettings = Pick<
  GatewaySettings,
  "randomSeed" | "firstTokenTimeoutMs" | "tokenTimeoutMs"
>;

export class Replies {
  #prompter = new Prompter();
  #settings: ReplySettings;

  constructor(settings: ReplySettings = GATEWAY_DEFAULTS) {
    this.#settings = settings;
  }

  /** Tokenizes the prompt; nothing is computed before `generated` is read. Throws REQUEST_INVALID, CONTEXT_EXCEEDED, TEMPLATE_MISSING. */
  async begin(
    model: ServedModel,
    request: ReplyRequest,
    arrival: Arrival,
  ): Promise<Reply> {
    const { signal } = arrival;
    const { sampling } = request;
    const biased = sampling.logitBias.find(
      ([token]) => token >= model.tokenizer.vocabSize,
    );
    if (biased !== undefined) {
      throw invalid("logit_bias", `has a token the model lacks: ${biased[0]}`);
    }
    const tokens = await this.#prompter.tokens(model, request.prompt, signal);
    const room = model.contextLength - tokens.length;
    const { randomSeed, firstTokenTimeoutMs, tokenTimeoutMs } = this.#settings;
    let session: (() => SessionStatus) | undefined;
    return {
      session: () => session?.(),
      promptTokens: tokens.length,
      completionTokens: 0,
      generated: generateText({
        ...arrival,
        model,
        tokens,
        maxTokens: Math.min(request.maxTokens ?? room, room),
        stop: request.stop,
        sampling: {
          ...sampling,
          repeatLastN: Math.min(sampling.repeatLastN, model.contextLength),
          seed: sampling.seed ?? randomSeed(),
        },
        firstTokenTimeoutMs,
        tokenTimeoutMs,
        onSession: (status) => (session = status),
      }),
    };
  }
}
