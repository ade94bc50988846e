const ASCII = 128;

/** Characters that a place of a grammar takes: sorted ranges of code points, or all but these. */
export class CharacterSet {
  /** Equal for equal sets. */
  readonly key: string;
  readonly #isNegated: boolean;
  /** First and last of each range, in order, no two touching. */
  readonly #bounds: Uint32Array;

  constructor(
    isNegated: boolean,
    ranges: readonly (readonly [number, number])[],
  ) {
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

  /** Where it begins and ends to have characters. */
  get edges(): number[] {
    return [...this.#bounds].map((bound, i) => bound + (i % 2));
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

/** Characters that no set of a grammar tells apart have the same class: a number from 0 on. */
export class CharacterClasses {
  readonly #edges: Uint32Array;
  readonly #ascii: Int32Array;

  constructor(sets: readonly CharacterSet[]) {
    const edges = new Set(sets.flatMap((set) => set.edges));
    this.#edges = Uint32Array.from(edges).sort();
    this.#ascii = Int32Array.from({ length: ASCII }, (_, code) =>
      this.#find(code),
    );
  }

  get count(): number {
    return this.#edges.length + 1;
  }

  of(code: number): number {
    return code < ASCII ? (this.#ascii[code] ?? 0) : this.#find(code);
  }

  #find(code: number): number {
    let [low, high] = [0, this.#edges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#edges[middle] ?? 0) <= code) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
