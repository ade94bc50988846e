/**
 * Draws a session's tokens: llama.cpp's samplers, and what its grammar allows. The randomness of each token is keyed by (seed, position): a
 * session that continues elsewhere after a fault draws the same tokens.
 *
 * With a grammar, a token is drawn as in llama.cpp's `common_sampler_sample`: first without it, because that is cheap and mostly enough, and
 * where the grammar refuses the token, again among those that it allows. Thoughts that are too long are ended: then their end is no draw.
 */
import { ShoalError } from "../lib/index.ts";
import { GrammarRules } from "./grammar/index.ts";
import type { Pieces } from "./grammar/pieces.ts";
import {
  drawnProbabilities,
  type LogProbabilities,
  logProbabilities,
} from "./log-probabilities.ts";
import { loadNative } from "./native.ts";
import type { Native } from "./native-types.ts";
import { SamplerChain } from "./sampler-chain.ts";
import type { SamplingOptions } from "./sampling.ts";
import type { Stage } from "./stage.ts";
import { StageVocabulary } from "./stage-vocabulary.ts";
import { Thoughts } from "./thoughts.ts";

export interface Drawn {
  token: number;
  /** Where they are asked for. */
  logprobs?: LogProbabilities;
  /** Of Mirostat: the surprise that the next token may have. Whoever goes on with the session needs it. */
  mu?: number;
}

/** A token and nothing else. */
export function isPlain({ mu, logprobs }: Drawn): boolean {
  return mu === undefined && logprobs === undefined;
}

export interface SamplerStart {
  /** Tokens from this position on were generated, and are of the grammar. Default: those that it drew. */
  promptTokens?: number | undefined;
  /** What an earlier session had for its next token. */
  mu?: number | undefined;
}

export class Sampler implements Disposable {
  readonly #native: Native = loadNative();
  readonly #chain: SamplerChain;
  readonly #options: SamplingOptions;
  readonly #rules: GrammarRules | undefined;
  readonly #thoughts: Thoughts | undefined;
  readonly #pieces: Pieces | undefined;
  readonly #promptTokens: number;
  #mu: number;
  #drawnPosition = -1;

  /** Throws GRAMMAR_INVALID. */
  constructor(
    stage: Stage,
    options: SamplingOptions,
    { promptTokens = Infinity, mu }: SamplerStart = {},
  ) {
    const { grammar, thoughts, mirostatTau } = options;
    const vocabulary = StageVocabulary.of(stage);
    this.#rules =
      grammar &&
      new GrammarRules(grammar, vocabulary.pieces, (text) =>
        vocabulary.tokenOf(text),
      );
    this.#thoughts = thoughts && new Thoughts(thoughts);
    this.#pieces = thoughts && vocabulary.pieces;
    this.#chain = new SamplerChain(stage, options);
    this.#options = options;
    this.#promptTokens = promptTokens;
    this.#mu = Math.fround(mu ?? 2 * mirostatTau);
  }

  /** True if this sampler drew the token at `position` last, and so has already accepted it. */
  expects(position: number): boolean {
    return position === this.#drawnPosition;
  }

  /**
   * Tokens that it did not draw, from `position` on. Those of the prompt count for the penalties, as in llama.cpp's server, but not for the
   * grammar. Throws GRAMMAR_STUCK.
   */
  accept(tokens: Int32Array, position: number): void {
    if (this.#chain.remembers)
      for (const token of tokens)
        this.#native.samplerAccept(this.#chain.chain, token);
    const generated = tokens.subarray(
      Math.max(0, this.#promptTokens - position),
    );
    for (const token of generated) this.#hear(token);
  }

  /** The token for `position`, from the logits of the stage's last decode: of its last row, or of one of a shared decode. */
  sample(stage: Stage, position: number, index = -1): Drawn {
    this.#drawnPosition = position;
    this.#chain.draw(position, this.#mu);
    const { logprobs, mirostat, temperature } = this.#options;
    const output = stage.outputOf(index);
    const usesMu = mirostat > 0 && temperature > 0;
    const forced = this.#thoughts?.forced;
    if (this.#rules === undefined && !usesMu && logprobs < 0) {
      const { chain } = this.#chain;
      const token = forced ?? this.#native.sample(chain, stage.context, output);
      if (forced !== undefined) this.#native.samplerAccept(chain, token);
      this.#hear(token);
      return { token };
    }
    const logits = this.#native.logits(stage.context, output, stage.vocabSize);
    const { token, p } =
      forced === undefined
        ? this.#draw(stage, logits)
        : { token: forced, p: 1 };
    this.#native.samplerAccept(this.#chain.chain, token);
    this.#hear(token);
    if (usesMu && forced === undefined) this.#learn(p);
    return {
      token,
      ...(logprobs >= 0 && {
        logprobs: this.#told(stage, logits, { token, p, forced }),
      }),
      ...(usesMu && { mu: this.#mu }),
    };
  }

  #draw(stage: Stage, logits: Float32Array): { token: number; p: number } {
    const { candidates } = StageVocabulary.of(stage);
    const { chain } = this.#chain;
    candidates.fill(logits);
    let drawn = candidates.draw(chain);
    if (this.#rules?.allows(drawn.token) === false) {
      if (candidates.fill(logits, this.#rules.allowed()) === 0)
        throw new ShoalError(
          "GRAMMAR_STUCK",
          "no token of the model is what the grammar allows next",
        );
      drawn = candidates.draw(chain);
    }
    return drawn;
  }

  /** The next token is there. */
  #hear(token: number): void {
    this.#rules?.accept(token);
    if (this.#pieces !== undefined)
      this.#thoughts?.accept(this.#pieces.of(token));
  }

  #told(
    stage: Stage,
    logits: Float32Array,
    {
      token,
      p,
      forced,
    }: { token: number; p: number; forced: number | undefined },
  ): LogProbabilities {
    const { logprobs, logprobsAfterSampling } = this.#options;
    if (!logprobsAfterSampling)
      return logProbabilities(logits, token, logprobs);
    if (this.#chain.isGreedy || forced !== undefined) {
      const sure = { token, logprob: 0 };
      return { logprob: 0, top: logprobs > 0 ? [sure] : [] };
    }
    const { candidates } = StageVocabulary.of(stage);
    return drawnProbabilities(p, candidates.left(), logprobs);
  }

  /** As llama.cpp's: the surprise that was seen takes the next one's bound nearer to what is wanted. */
  #learn(p: number): void {
    const { mirostatEta, mirostatTau } = this.#options;
    const surprise = Math.fround(-Math.log2(p));
    const error = Math.fround(surprise - Math.fround(mirostatTau));
    this.#mu = Math.fround(
      this.#mu - Math.fround(Math.fround(mirostatEta) * error),
    );
  }

  [Symbol.dispose](): void {
    this.#chain[Symbol.dispose]();
  }
}
