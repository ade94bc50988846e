/** Numbers between two bounds, as the digits that write them. */
import { literal, oneOf, repeat } from "./gbnf.ts";

/** As many digits as an integer may have here: every one of 15 is exact in a double, and llama.cpp too stops at 16. */
const MAX_DIGITS = 16;
const LARGEST = 10n ** BigInt(MAX_DIGITS) - 1n;

/** Integers from `min` to `max`, both included; a missing bound is the largest number of 16 digits. Nothing if there is none. */
export function integersBetween(
  min: bigint = -LARGEST,
  max: bigint = LARGEST,
): string | undefined {
  const from = min < -LARGEST ? -LARGEST : min;
  const to = max > LARGEST ? LARGEST : max;
  if (from > to) return undefined;
  const choices: string[] = [];
  if (from < 0n) {
    const nearest = to < 0n ? -to : 1n;
    choices.push(`"-" ${oneOf(naturals(nearest, -from))}`);
  }
  if (to >= 0n) choices.push(...naturals(from < 0n ? 0n : from, to));
  return oneOf(choices);
}

/** Natural numbers, one choice for each number of digits. */
function naturals(from: bigint, to: bigint): string[] {
  const choices: string[] = [];
  const [low, high] = [String(from), String(to)];
  let digits = low.length;
  let first = low;
  // All numbers of more digits than `from` and fewer than `to` are one choice.
  if (digits < high.length) {
    choices.push(digitsBetween(first, "9".repeat(digits)));
    digits += 1;
    if (digits < high.length)
      choices.push(`[1-9] ${repeat("[0-9]", digits - 1, high.length - 2)}`);
    first = `1${"0".repeat(high.length - 1)}`;
  }
  choices.push(digitsBetween(first, high));
  return choices;
}

/** Digits of one length from `low` to `high`, as one item or several in a row. */
export function digitsBetween(low: string, high: string): string {
  if (low === high) return low === "" ? "" : literal(low);
  const [a, b] = [Number(low[0]), Number(high[0])];
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  if (a === b) return `"${a}" ${digitsBetween(lowRest, highRest)}`.trim();
  const rest = low.length - 1;
  const any = rest === 0 ? "" : ` ${repeat("[0-9]", rest, rest)}`;
  const choices: string[] = [];
  // The first and the last digit join the middle where nothing bounds what follows them.
  const [lowOpen, highOpen] = [/^0*$/.test(lowRest), /^9*$/.test(highRest)];
  const [from, to] = [lowOpen ? a : a + 1, highOpen ? b : b - 1];
  if (!lowOpen)
    choices.push(`"${a}" ${digitsBetween(lowRest, "9".repeat(rest))}`);
  if (from <= to) choices.push(`${digits(from, to)}${any}`);
  if (!highOpen)
    choices.push(`"${b}" ${digitsBetween("0".repeat(rest), highRest)}`);
  return oneOf(choices);
}

function digits(from: number, to: number): string {
  return from === to ? `"${from}"` : `[${from}-${to}]`;
}
