/**
 * llama.cpp's samplers: the bias, those of `SamplingOptions.samplers` in their order, and what draws. Those with randomness are made anew for
 * each token; the others are not, since some remember what was written.
 */
import { loadNative } from "./native.ts";
import type { Native, Pointer } from "./native-types.ts";
import type { SamplerName, SamplingOptions } from "./sampling.ts";
import type { Stage } from "./stage.ts";

/** XTC's randomness is not that of the draw after it. */
const XTC_KEY = 0x58544300;

/** A sampler, or what makes one for a token. */
type Step = Pointer | ((seed: number, mu: number) => Pointer);

export class SamplerChain implements Disposable {
  readonly chain: Pointer;
  readonly remembers: boolean;
  /** The likeliest token that is left is drawn, for certain. */
  readonly isGreedy: boolean;
  readonly #native: Native = loadNative();
  readonly #stage: Stage;
  readonly #options: SamplingOptions;
  readonly #steps: readonly Step[];
  /** The first one that is made anew. */
  readonly #firstAnew: number;

  constructor(stage: Stage, options: SamplingOptions) {
    this.#stage = stage;
    this.#options = options;
    const { mirostat, temperature, samplers } = options;
    const isMirostat = mirostat > 0 && temperature > 0;
    this.isGreedy = temperature <= 0 && samplers.includes("temperature");
    this.remembers =
      !isMirostat &&
      ((penalizes(options) && samplers.includes("penalties")) ||
        (avoids(options) && samplers.includes("dry")));
    this.#steps = [
      ...this.#bias(),
      ...(isMirostat ? this.#mirostat() : this.#inOrder()),
    ];
    const first = this.#steps.findIndex((step) => typeof step === "function");
    this.#firstAnew = first < 0 ? this.#steps.length : first;
    this.chain = this.#native.newChain();
    // What remembers must hear of the prompt.
    this.#put(0, 0);
  }

  /** Makes ready for the token of a position. `mu`: of Mirostat, how much surprise there may be. */
  draw(position: number, mu: number): void {
    const native = this.#native;
    for (let i = this.#steps.length - 1; i >= this.#firstAnew; i--) {
      const sampler = native.chainRemove(this.chain, i);
      if (typeof this.#steps[i] === "function") native.freeSampler(sampler);
    }
    this.#put(keyedSeed(this.#options.seed, position), mu);
  }

  #put(seed: number, mu: number): void {
    const native = this.#native;
    for (const step of this.#steps.slice(native.chainLength(this.chain)))
      native.chainAdd(
        this.chain,
        typeof step === "function" ? step(seed, mu) : step,
      );
  }

  #bias(): Step[] {
    const { logitBias } = this.#options;
    if (logitBias.length === 0) return [];
    return [this.#native.logitBias(this.#stage.vocabSize, logitBias)];
  }

  #mirostat(): Step[] {
    const { mirostat, mirostatEta, temperature } = this.#options;
    const native = this.#native;
    // A new one begins with 2 × tau.
    return [
      native.temperature(temperature),
      mirostat === 1
        ? (seed, mu) =>
            native.mirostat(this.#stage.vocabSize, seed, mu / 2, mirostatEta)
        : (seed, mu) => native.mirostatV2(seed, mu / 2, mirostatEta),
    ];
  }

  #inOrder(): Step[] {
    const { samplers } = this.#options;
    const { isGreedy } = this;
    // A temperature of 0 leaves nothing to those after it.
    const order = isGreedy
      ? samplers.slice(0, samplers.indexOf("temperature"))
      : samplers;
    const native = this.#native;
    const draw: Step = isGreedy ? native.greedy() : (seed) => native.dist(seed);
    return [...order.flatMap((name) => this.#step(name) ?? []), draw];
  }

  #step(name: SamplerName): Step | undefined {
    const options = this.#options;
    const { topNSigma, topK, typicalP, topP, minP } = options;
    const { temperature, dynatempRange, dynatempExponent } = options;
    const native = this.#native;
    // Some never leave out the likeliest token; typical and XTC may.
    const leavesOut = typicalP < 1 || options.xtcProbability > 0;
    const cuts = !this.isGreedy || leavesOut;
    switch (name) {
      case "penalties":
        return penalizes(options) ? this.#penalties() : undefined;
      case "dry":
        return avoids(options) ? this.#dry() : undefined;
      case "top_n_sigma":
        return cuts && topNSigma > 0 ? native.topNSigma(topNSigma) : undefined;
      case "top_k":
        return cuts && topK > 0 ? native.topK(topK) : undefined;
      case "typ_p":
        return typicalP < 1 ? native.typical(typicalP, 1) : undefined;
      case "top_p":
        return cuts && topP < 1 ? native.topP(topP, 1) : undefined;
      case "min_p":
        return cuts && minP > 0 ? native.minP(minP, 1) : undefined;
      case "xtc":
        return options.xtcProbability > 0
          ? (seed) => this.#xtc(seed)
          : undefined;
      case "temperature":
    }
    // 0 is greedy, and does not come here.
    return dynatempRange > 0
      ? native.dynamicTemperature(temperature, dynatempRange, dynatempExponent)
      : native.temperature(temperature);
  }

  #penalties(): Pointer {
    const { repeatLastN, repeatPenalty, frequencyPenalty, presencePenalty } =
      this.#options;
    return this.#native.penalties(
      this.#stage.vocabSize,
      repeatLastN,
      repeatPenalty,
      frequencyPenalty,
      presencePenalty,
    );
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
