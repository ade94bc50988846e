/** From a parsed request to its running generations: one entry for the API and for a client in this process. */
import { MAX_LOGIT_BIASES, type SamplingOptions } from "../engine/index.ts";
import type {
  Arrival,
  ServedModel,
  SessionStatus,
} from "../inference/index.ts";
import type { ReplyPart } from "./api.ts";
import { generateReply } from "./generation.ts";
import { GATEWAY_DEFAULTS, type GatewaySettings } from "./options.ts";
import { type Prepared, type Prompt, Prompter } from "./prompt.ts";
import { Tally } from "./tally.ts";
import { invalid } from "./validate.ts";

export interface ReplyRequest {
  /** Each has replies of its own. */
  prompts: readonly [Prompt, ...Prompt[]];
  /** undefined means as many as the context leaves; 0: only the prompt is computed. */
  maxTokens: number | undefined;
  /** Replies to each prompt; default: 1. */
  choices?: number;
  stop: readonly string[];
  /** Without `seed` if the client gave none; `repeatLastN` is Infinity for the whole context. */
  sampling: Omit<SamplingOptions, "seed"> & { seed: number | undefined };
  /** Each token of the text has this bias. */
  biasedTexts?: readonly (readonly [text: string, bias: number])[];
  /** The model's end tokens are banned; a reply ends at its limit, a stop string, or where its grammar does. */
  ignoresEnd?: boolean;
}

export interface Begun {
  /** Of all prompts. */
  promptTokens: number;
  /** All of the first prompt, then those of the second. */
  replies: readonly Reply[];
}

/** A running generation. */
export interface Reply {
  /** So far. */
  completionTokens: number;
  /** Where its time went so far; undefined if the backend does not tell. */
  session(): SessionStatus | undefined;
  /** Returning early frees the stages. */
  generated: AsyncGenerator<ReplyPart, void, undefined>;
}

/** The least bias there is. */
const BAN = -100;

export type ReplySettings = Pick<
  GatewaySettings,
  "randomSeed" | "firstTokenTimeoutMs" | "tokenTimeoutMs" | "clock"
>;

export class Replies {
  /** For what needs a prompt and no reply. */
  readonly prompter = new Prompter();
  readonly tally: Tally;
  #settings: ReplySettings;

  constructor(settings: ReplySettings = GATEWAY_DEFAULTS) {
    this.#settings = settings;
    this.tally = new Tally(() => settings.clock.now());
  }

  /**
   * Tokenizes the prompts; reply i has the seed + i. Nothing is computed before `generated` is read. Throws REQUEST_INVALID,
   * CONTEXT_EXCEEDED, TEMPLATE_MISSING.
   */
  async begin(
    model: ServedModel,
    request: ReplyRequest,
    arrival: Arrival,
  ): Promise<Begun> {
    const { choices = 1 } = request;
    const sampling = await biasedSampling(model, request);
    const biased = sampling.logitBias.find(
      ([token]) => token >= model.tokenizer.vocabSize,
    );
    if (biased !== undefined) {
      throw invalid("logit_bias", `has a token the model lacks: ${biased[0]}`);
    }
    const prepared: Prepared[] = [];
    for (const prompt of request.prompts)
      prepared.push(await this.prompter.prepare(model, prompt, arrival.signal));
    const seed = sampling.seed ?? this.#settings.randomSeed();
    const replies = prepared
      .flatMap((prompt) => Array<Prepared>(choices).fill(prompt))
      .map((prompt, index) =>
        this.#reply(model, { ...request, sampling }, arrival, {
          prompt,
          index,
          seed,
        }),
      );
    return {
      promptTokens: prepared.reduce(
        (sum, { tokens }) => sum + tokens.length,
        0,
      ),
      replies,
    };
  }

  #reply(
    model: ServedModel,
    { maxTokens, stop, sampling }: ReplyRequest,
    arrival: Arrival,
    { prompt, index, seed }: { prompt: Prepared; index: number; seed: number },
  ): Reply {
    const { requestId } = arrival;
    const { firstTokenTimeoutMs, tokenTimeoutMs } = this.#settings;
    const room = model.contextLength - prompt.tokens.length;
    let session: (() => SessionStatus) | undefined;
    return {
      session: () => session?.(),
      completionTokens: 0,
      generated: this.tally.counted(
        {
          promptTokens: prompt.tokens.length,
          maxTokens,
          stop,
          sampling,
          session: () => session?.(),
        },
        generateReply({
          ...arrival,
          requestId: index === 0 ? requestId : `${requestId}-${index}`,
          model,
          prompt,
          maxTokens: Math.min(maxTokens ?? room, room),
          stop,
          sampling: {
            ...sampling,
            ...(prompt.grammar && { grammar: prompt.grammar }),
            ...(prompt.thoughts && { thoughts: prompt.thoughts }),
            repeatLastN: Math.min(sampling.repeatLastN, model.contextLength),
            seed: (seed + index) % 2 ** 32,
          },
          firstTokenTimeoutMs,
          tokenTimeoutMs,
          onSession: (status) => (session = status),
        }),
      ),
    };
  }
}

async function biasedSampling(
  { tokenizer }: ServedModel,
  { sampling, biasedTexts = [], ignoresEnd = false }: ReplyRequest,
): Promise<ReplyRequest["sampling"]> {
  if (biasedTexts.length === 0 && !ignoresEnd) return sampling;
  const logitBias = [...sampling.logitBias];
  const how = { addSpecial: false, parseSpecial: false };
  for (const [text, bias] of biasedTexts)
    for (const token of await tokenizer.encode(text, how))
      logitBias.push([token, bias]);
  const banned = ignoresEnd ? tokenizer.vocabSize : 0;
  for (let token = 0; token < banned; token++)
    if (tokenizer.isEndOfGeneration(token)) logitBias.push([token, BAN]);
  if (logitBias.length > MAX_LOGIT_BIASES)
    throw invalid("logit_bias", `must have at most ${MAX_LOGIT_BIASES} tokens`);
  return { ...sampling, logitBias };
}
