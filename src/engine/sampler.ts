/**
 * Draws a session's tokens: llama.cpp's samplers, and what its grammar allows. The randomness of each token is keyed by (seed, position): a
 * session that continues elsewhere after a fault draws the same tokens.
 *
 * With a grammar, a token is drawn as in llama.cpp's `common_sampler_sample`: first without it, because that is cheap and mostly enough, and
 * where the grammar refuses the token, again among those that it allows.
 */
import { ShoalError } from "../lib/index.ts";
import { GrammarRules } from "./grammar/index.ts";
import {
  type LogProbabilities,
  logProbabilities,
} from "./log-probabilities.ts";
import { loadNative } from "./native.ts";
import type { Native } from "./native-types.ts";
import { SamplerChain } from "./sampler-chain.ts";
import type { SamplingOptions } from "./sampling.ts";
import type { Stage } from "./stage.ts";
import { StageVocabulary } from "./stage-vocabulary.ts";

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
  readonly #promptTokens: number;
  #mu: number;
  #drawnPosition = -1;

  /** Throws GRAMMAR_INVALID. */
  constructor(
    stage: Stage,
    options: SamplingOptions,
    { promptTokens = Infinity, mu }: SamplerStart = {},
  ) {
    const { grammar, mirostatTau } = options;
    const vocabulary = StageVocabulary.of(stage);
    this.#rules =
      grammar &&
      new GrammarRules(grammar, vocabulary.pieces, (text) =>
        vocabulary.tokenOf(text),
      );
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
    if (this.#rules === undefined) return;
    const generated = tokens.subarray(
      Math.max(0, this.#promptTokens - position),
    );
    for (const token of generated) this.#rules.accept(token);
  }

  /** The token for `position`, from the logits of the stage's last decode: of its last row, or of one of a shared decode. */
  sample(stage: Stage, position: number, index = -1): Drawn {
    this.#drawnPosition = position;
    this.#chain.draw(position, this.#mu);
    const { logprobs, mirostat, temperature } = this.#options;
    const output = stage.outputOf(index);
    const usesMu = mirostat > 0 && temperature > 0;
    if (this.#rules === undefined && !usesMu && logprobs < 0)
      return {
        token: this.#native.sample(this.#chain.chain, stage.context, output),
      };
    const logits = this.#native.logits(stage.context, output, stage.vocabSize);
    const { token, p } = this.#draw(stage, logits);
    if (usesMu) this.#learn(p);
    return {
      token,
      ...(logprobs >= 0 && {
        logprobs: logProbabilities(logits, token, logprobs),
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
    this.#native.samplerAccept(chain, drawn.token);
    this.#rules?.accept(drawn.token);
    return drawn;
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
