/** From a parsed request to its running generations: one entry for the API and for a client in this process. */
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
> &
  Partial<Pick<Order, "choices">>;

/** Of one prompt. */
export interface Begun {
  promptTokens: number;
  /** One for each choice. */
  replies: readonly [Reply, ...Reply[]];
}

/** A running generation. */
export interface Reply {
  /** So far. */
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

  /** Tokenizes the prompt; choice i has the seed + i. Nothing is computed before `generated` is read. Throws REQUEST_INVALID, CONTEXT_EXCEEDED, TEMPLATE_MISSING. */
  async begin(
    model: ServedModel,
    request: ReplyRequest,
    arrival: Arrival,
  ): Promise<Begun> {
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
    const seed = sampling.seed ?? randomSeed();
    const reply = (choice: number): Reply => {
      let session: (() => SessionStatus) | undefined;
      return {
        session: () => session?.(),
        completionTokens: 0,
        generated: generateText({
          ...arrival,
          requestId:
            choice === 0 ? arrival.requestId : `${arrival.requestId}-${choice}`,
          model,
          tokens,
          maxTokens: Math.min(request.maxTokens ?? room, room),
          stop: request.stop,
          sampling: {
            ...sampling,
            repeatLastN: Math.min(sampling.repeatLastN, model.contextLength),
            seed: (seed + choice) % 2 ** 32,
          },
          firstTokenTimeoutMs,
          tokenTimeoutMs,
          onSession: (status) => (session = status),
        }),
      };
    };
    const more = Array.from(
      { length: (request.choices ?? 1) - 1 },
      (_, i) => i + 1,
    );
    return {
      promptTokens: tokens.length,
      replies: [reply(0), ...more.map(reply)],
    };
  }
}
