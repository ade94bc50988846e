/**
 * llama.cpp's samplers for one session. The randomness of each token is keyed by (seed, position): a session that continues elsewhere after
 * a fault draws the same tokens.
 */
import type { SamplingOptions } from "./sampling.ts";
import { loadNative } from "./native.ts";
import type { Native, Pointer } from "./native-types.ts";
import type { Stage } from "./stage.ts";

export class Sampler implements Disposable {
  #native: Native = loadNative();
  #chain: Pointer;
  #seed: number;
  #greedy: boolean;
  #remembers: boolean;
  #drawnPosition = -1;

  /** The order of the chain is llama.cpp's own: bias, penalties, top-k, top-p, min-p, temperature, draw. */
  constructor(stage: Stage, options: SamplingOptions) {
    const native = this.#native;
    this.#seed = options.seed;
    this.#greedy = options.temperature <= 0;
    this.#remembers =
      options.repeatLastN > 0 &&
      (options.repeatPenalty !== 1 ||
        options.frequencyPenalty !== 0 ||
        options.presencePenalty !== 0);
    this.#chain = native.newChain();
    const add = (sampler: Pointer): void =>
      native.chainAdd(this.#chain, sampler);
    if (options.logitBias.length > 0)
      add(native.logitBias(stage.vocabSize, options.logitBias));
    if (this.#remembers) {
      const { repeatLastN, repeatPenalty, frequencyPenalty, presencePenalty } =
        options;
      add(
        native.penalties(
          stage.vocabSize,
          repeatLastN,
          repeatPenalty,
          frequencyPenalty,
          presencePenalty,
        ),
      );
    }
    if (this.#greedy) {
      add(native.greedy());
      return;
    }
    if (options.topK > 0) add(native.topK(options.topK));
    if (options.topP < 1) add(native.topP(options.topP, 1));
    if (options.minP > 0) add(native.minP(options.minP, 1));
    add(native.temperature(options.temperature));
    add(native.dist(0)); // replaced for every token
  }

  /** True if this sampler drew the token at `position` last, and so has already accepted it. */
  expects(position: number): boolean {
    return position === this.#drawnPosition;
  }

  /** Prompt tokens count for the penalties, as in llama.cpp's server. */
  accept(tokens: Int32Array): void {
    if (!this.#remembers) return;
    for (const token of tokens) this.#native.samplerAccept(this.#chain, token);
  }

  /** The token for `position`, from the logits of the stage's last decode: of its last row, or of one of a shared decode. */
  sample(stage: Stage, position: number, index = -1): number {
    this.#drawnPosition = position;
    if (!this.#greedy) {
      const last = this.#native.chainLength(this.#chain) - 1;
      this.#native.freeSampler(this.#native.chainRemove(this.#chain, last));
      this.#native.chainAdd(
        this.#chain,
        this.#native.dist(keyedSeed(this.#seed, position)),
      );
    }
    const output = stage.outputOf(index);
    return this.#native.sample(this.#chain, stage.context, output);
  }

  [Symbol.dispose](): void {
    this.#native.freeSampler(this.#chain);
  }
}

/** splitmix32's finaliser over both numbers: neighbouring positions get unrelated seeds. Never 0xFFFFFFFF, "random" to llama.cpp. */
export function keyedSeed(seed: number, position: number): number {
  let z = (seed + Math.imul(position + 1, 0x9e3779b9)) >>> 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b) >>> 0;
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35) >>> 0;
  z = (z ^ (z >>> 16)) >>> 0;
  return z === 0xffffffff ? 0 : z;
}
