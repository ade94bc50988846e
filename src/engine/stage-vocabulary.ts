/** What samplers of a stage's sessions share, made when the first one needs it. */
import { ShoalError } from "../lib/index.ts";
import { Candidates } from "./candidates.ts";
import { Pieces } from "./grammar/pieces.ts";
import { loadNative } from "./native.ts";
import type { Stage } from "./stage.ts";

/** LLAMA_VOCAB_TYPE_NONE in include/llama.h. */
const NO_VOCABULARY = 0;

export class StageVocabulary {
  readonly #stage: Stage;
  #candidates: Candidates | undefined;
  #pieces: Pieces | undefined;

  private constructor(stage: Stage) {
    this.#stage = stage;
  }

  static #of = new WeakMap<Stage, StageVocabulary>();

  static of(stage: Stage): StageVocabulary {
    const known = this.#of.get(stage) ?? new StageVocabulary(stage);
    this.#of.set(stage, known);
    return known;
  }

  get candidates(): Candidates {
    return (this.#candidates ??= new Candidates(this.#stage.vocabSize));
  }

  /** Takes a fifth of a second for a large vocabulary. Throws GRAMMAR_INVALID where there is none. */
  get pieces(): Pieces {
    const native = loadNative();
    const vocab = native.vocab(this.#stage.model);
    if (native.vocabType(vocab) === NO_VOCABULARY)
      throw new ShoalError(
        "GRAMMAR_INVALID",
        "a model without a vocabulary writes by no grammar",
      );
    return (this.#pieces ??= new Pieces(vocab));
  }

  /** The token that a text names, "<|im_end|>". */
  tokenOf(text: string): number | undefined {
    const native = loadNative();
    const vocab = native.vocab(this.#stage.model);
    const bytes = Buffer.from(text);
    const tokens = new Int32Array(bytes.length + 8);
    const count = native.tokenize(vocab, bytes, tokens, false, true);
    return count === 1 ? tokens[0] : undefined;
  }
}
