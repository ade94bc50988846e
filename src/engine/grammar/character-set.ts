/** Characters that a place of a grammar takes: sorted ranges of code points, or all but these. */
export class CharacterSet {
  /** Equal for equal sets. */
  readonly key: string;
  readonly #isNegated: boolean;
  /** First and last of each, in order, no two touching. */
  readonly #bounds: Uint32Array;

  constructor(isNegated: boolean, ranges: readonly [number, number][]) {
    const bounds: number[] = [];
    const sorted = ranges.filter(([first, last]) => first <= last);
    for (const [first, last] of sorted.toSorted(([a], [b]) => a - b)) {
      const end = bounds.at(-1);
      if (end === undefined || first > end + 1) bounds.push(first, last);
      else bounds[bounds.length - 1] = Math.max(end, last);
    }
    this.#isNegated = isNegated;
    this.#bounds = Uint32Array.from(bounds);
    this.key = `${isNegated}${bounds.join()}`;
  }

  has(code: number): boolean {
    return (this.#end(code) % 2 === 1) !== this.#isNegated;
  }

  /** Whether it has one of `first…last`. */
  meets(first: number, last: number): boolean {
    const [from, to] = [this.#end(first), this.#end(last)];
    if (from !== to) return true;
    return (from % 2 === 1) !== this.#isNegated;
  }

  /** How many bounds lie before the place of `code`; odd: it is in a range. */
  #end(code: number): number {
    let [low, high] = [0, this.#bounds.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const bound = this.#bounds[middle] ?? 0;
      // A range begins with its first character and ends after its last.
      if (middle % 2 === 0 ? bound <= code : bound < code) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
