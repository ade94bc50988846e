/** Sets of code points, as ranges in order that do not touch. */
import type { CharRange } from "../gbnf.ts";

export type CharSet = readonly CharRange[];

/** Every character of a text: no surrogates, and not the one of code 0, which ends a text in llama.cpp. */
export const ALL_CHARS: CharSet = [
  [1, 0xd7ff],
  [0xe000, 0x10ffff],
];

export function union(...sets: readonly CharSet[]): CharSet {
  const ranges = sets.flat().toSorted(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [first, last] of ranges) {
    const previous = joined.at(-1);
    if (previous !== undefined && first <= previous[1] + 1)
      previous[1] = Math.max(previous[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

/** The characters of `a` that are in `b` too. */
export function intersection(a: CharSet, b: CharSet): CharSet {
  return a.flatMap(([first, last]) =>
    b.flatMap(([from, to]): CharRange[] => {
      const range = [Math.max(first, from), Math.min(last, to)] as const;
      return range[0] <= range[1] ? [range] : [];
    }),
  );
}

export function complement(set: CharSet): CharSet {
  const gaps: CharRange[] = [];
  let next = 0;
  for (const [first, last] of union(set)) {
    if (first > next) gaps.push([next, first - 1]);
    next = last + 1;
  }
  gaps.push([next, 0x10ffff]);
  return intersection(
    ALL_CHARS,
    gaps.filter(([a, b]) => a <= b),
  );
}

export function includes(set: CharSet, codePoint: number): boolean {
  return set.some(([first, last]) => first <= codePoint && codePoint <= last);
}

/** The set of the characters of `text`. */
export function charsOf(text: string): CharSet {
  return union(
    ...Array.from(text, (char): CharSet => {
      const code = char.codePointAt(0) ?? 0;
      return [[code, code]];
    }),
  );
}
