/** Seeded random numbers, fast enough to fill gigabytes: xorshift128 (Marsaglia 2003, https://doi.org/10.18637/jss.v008.i14). */

export class Random {
  #a: number;
  #b: number;
  #c = 0x9e3779b9;
  #d = 0x243f6a88;

  /** The same seed and purpose give the same numbers, whatever else was drawn before. */
  constructor(seed: number, purpose = "") {
    let hash = 0x811c9dc5 ^ seed;
    for (const char of purpose)
      hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
    this.#a = hash;
    this.#b = seed;
    for (let i = 0; i < 16; i++) this.next();
  }

  /** 32 random bits, unsigned. */
  next(): number {
    let t = this.#a;
    t ^= t << 11;
    t ^= t >>> 8;
    this.#a = this.#b;
    this.#b = this.#c;
    this.#c = this.#d;
    this.#d = this.#d ^ (this.#d >>> 19) ^ t;
    return this.#d >>> 0;
  }

  /** In [0, 1). */
  fraction(): number {
    return this.next() / 2 ** 32;
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  fillWords(words: Uint32Array): void {
    for (let i = 0; i < words.length; i++) words[i] = this.next();
  }
}

/** Bits of the nearest IEEE half, subnormals too; only for what tests need: finite and below 65504. */
export function toHalf(value: number): number {
  const sign = value < 0 ? 0x8000 : 0;
  const size = Math.abs(value);
  // Halves from 2^-14 on have 10 bits behind the leading one; below it they are multiples of 2^-24.
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const steps = Math.round(size / 2 ** (exponent - 10));
  if (size === 0) return sign;
  return sign | (steps < 1024 ? steps : ((exponent + 14) << 10) + steps);
}

/** In an order that `seed` gives: the same for the same seed. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const result = [...items];
  const random = new Random(seed);
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
