/**
 * llama.cpp's samplers in its own order (`common_params_sampling.samplers` in common/common.h at v0.5.0): bias, penalties, DRY, top-n-sigma,
 * top-k, typical, top-p, min-p, XTC, temperature, draw. Those that draw are made anew for each token.
 */
import { loadNative } from "./native.ts";
import type { Native, Pointer } from "./native-types.ts";
import type { SamplingOptions } from "./sampling.ts";
import type { Stage } from "./stage.ts";

/** XTC's randomness is not that of the draw after it. */
const XTC_KEY = 0x58544300;

export class SamplerChain implements Disposable {
  readonly chain: Pointer;
  readonly #native: Native = loadNative();
  readonly #stage: Stage;
  readonly #options: SamplingOptions;
  /** The last ones of the chain, which are made anew. */
  #drawn = 0;
  readonly remembers: boolean;

  constructor(stage: Stage, options: SamplingOptions) {
    this.#stage = stage;
    this.#options = options;
    this.chain = this.#native.newChain();
    const isMirostat = options.mirostat > 0 && options.temperature > 0;
    this.remembers = !isMirostat && (penalizes(options) || avoids(options));
    this.#addFirst(isMirostat);
  }

  /** Makes ready for the token of a position. `mu`: of Mirostat, how much surprise there may be. */
  draw(position: number, mu: number): void {
    const { seed, temperature, xtcProbability } = this.#options;
    if (temperature <= 0 && xtcProbability <= 0 && this.#drawn > 0) return;
    const native = this.#native;
    for (; this.#drawn > 0; this.#drawn--) {
      const last = native.chainLength(this.chain) - 1;
      native.freeSampler(native.chainRemove(this.chain, last));
    }
    for (const sampler of this.#drawing(keyedSeed(seed, position), mu)) {
      native.chainAdd(this.chain, sampler);
      this.#drawn++;
    }
  }

  #addFirst(isMirostat: boolean): void {
    const options = this.#options;
    const { vocabSize } = this.#stage;
    const native = this.#native;
    const add = (sampler: Pointer): void =>
      native.chainAdd(this.chain, sampler);
    if (options.logitBias.length > 0)
      add(native.logitBias(vocabSize, options.logitBias));
    if (isMirostat) return;
    if (penalizes(options))
      add(
        native.penalties(
          vocabSize,
          options.repeatLastN,
          options.repeatPenalty,
          options.frequencyPenalty,
          options.presencePenalty,
        ),
      );
    if (avoids(options)) add(this.#dry());
    // These never leave out the likeliest token; the others may.
    const isGreedy = options.temperature <= 0;
    const leavesOut = options.typicalP < 1 || options.xtcProbability > 0;
    if (!isGreedy || leavesOut) this.#addCuts(add);
  }

  #addCuts(add: (sampler: Pointer) => void): void {
    const { topNSigma, topK, typicalP, topP, minP } = this.#options;
    const native = this.#native;
    if (topNSigma > 0) add(native.topNSigma(topNSigma));
    if (topK > 0) add(native.topK(topK));
    if (typicalP < 1) add(native.typical(typicalP, 1));
    if (topP < 1) add(native.topP(topP, 1));
    if (minP > 0) add(native.minP(minP, 1));
  }

  #drawing(seed: number, mu: number): Pointer[] {
    const options = this.#options;
    const { mirostat, mirostatEta, temperature } = options;
    const native = this.#native;
    const xtc = options.xtcProbability > 0 ? [this.#xtc(seed)] : [];
    if (temperature <= 0) return [...xtc, native.greedy()];
    // A new one begins with 2 × tau.
    if (mirostat === 1)
      return [
        native.temperature(temperature),
        native.mirostat(this.#stage.vocabSize, seed, mu / 2, mirostatEta),
      ];
    if (mirostat === 2)
      return [
        native.temperature(temperature),
        native.mirostatV2(seed, mu / 2, mirostatEta),
      ];
    return [
      ...xtc,
      options.dynatempRange > 0
        ? native.dynamicTemperature(
            temperature,
            options.dynatempRange,
            options.dynatempExponent,
          )
        : native.temperature(temperature),
      native.dist(seed),
    ];
  }

  #xtc(seed: number): Pointer {
    const { xtcProbability, xtcThreshold } = this.#options;
    const own = keyedSeed((seed ^ XTC_KEY) >>> 0, 0);
    return this.#native.xtc(xtcProbability, xtcThreshold, 1, own);
  }

  #dry(): Pointer {
    const { contextLength, model } = this.#stage;
    const { dryMultiplier, dryBase, dryAllowedLength, dryPenaltyLastN } =
      this.#options;
    return this.#native.dry(
      this.#native.vocab(model),
      dryMultiplier,
      dryBase,
      dryAllowedLength,
      // A session has no more than these.
      dryPenaltyLastN < 0
        ? contextLength
        : Math.min(dryPenaltyLastN, contextLength),
      this.#options.drySequenceBreakers,
    );
  }

  [Symbol.dispose](): void {
    this.#native.freeSampler(this.chain);
  }
}

function penalizes(options: SamplingOptions): boolean {
  return (
    options.repeatLastN > 0 &&
    (options.repeatPenalty !== 1 ||
      options.frequencyPenalty !== 0 ||
      options.presencePenalty !== 0)
  );
}

function avoids(options: SamplingOptions): boolean {
  return (
    options.dryMultiplier > 0 &&
    options.dryBase >= 1 &&
    options.dryPenaltyLastN !== 0
  );
}

/** splitmix32's finaliser over both numbers: neighbouring positions get unrelated seeds. Never 0xFFFFFFFF, "random" to llama.cpp. */
export function keyedSeed(seed: number, position: number): number {
  let z = (seed + Math.imul(position + 1, 0x9e3779b9)) >>> 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b) >>> 0;
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35) >>> 0;
  z = (z ^ (z >>> 16)) >>> 0;
  return z === 0xffffffff ? 0 : z;
}
