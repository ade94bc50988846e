/** Decimal numbers between two bounds, as a regular expression of what writes them. */

export interface DecimalBounds {
  /** As far as there are; each excluded or not. */
  low?: Bound | undefined;
  high?: Bound | undefined;
}

export interface Bound {
  value: number;
  isExcluded: boolean;
}

/** Numbers of 15 digits differ where their doubles do, so that one above an excluded bound is not read as the bound itself. */
const MAX_WHOLE_DIGITS = 9;
const MAX_FRACTION_DIGITS = 6;
const LARGEST = 10 ** MAX_WHOLE_DIGITS;

const ANY_WHOLE = `(?:0|[1-9]\\d{0,${MAX_WHOLE_DIGITS - 1}})`;
const ANY_FRACTION = `(?:\\.\\d{1,${MAX_FRACTION_DIGITS}})?`;

/**
 * Regular expressions that a number's text must all match: nothing if a bound is too small to be written. Numbers have 9 digits before the
 * point and 6 after it at most, and no exponent.
 */
export function decimalsBetween({
  low,
  high,
}: DecimalBounds): { negative: string[]; positive: string[] } | undefined {
  const bounds = [low, high].filter((bound) => bound !== undefined);
  if (bounds.some(({ value }) => value !== 0 && Math.abs(value) < 1e-6))
    return undefined;
  return {
    positive: magnitudes(low, high),
    negative: magnitudes(negate(high), negate(low)),
  };
}

function negate(bound: Bound | undefined): Bound | undefined {
  return bound && { ...bound, value: -bound.value };
}

/** What the digits of a number of 0 or more must match. */
function magnitudes(low: Bound | undefined, high: Bound | undefined): string[] {
  const never = "[]";
  const all = [`${ANY_WHOLE}${ANY_FRACTION}`];
  if (
    low !== undefined &&
    (low.value > 0 || (low.value === 0 && low.isExcluded))
  )
    all.push(low.value >= LARGEST ? never : atLeast(low));
  if (high !== undefined && high.value < LARGEST)
    all.push(
      high.value < 0 || (high.value === 0 && high.isExcluded)
        ? never
        : atMost(high),
    );
  return all;
}

/** The digits of a bound; those behind what a number can have here do not matter, as its own are all 0 there. */
function digitsOf(value: number): [whole: string, fraction: string] {
  const [whole = "", fraction = ""] = String(value).split(".");
  return [whole, fraction];
}

function atLeast({ value, isExcluded }: Bound): string {
  const [whole, fraction] = digitsOf(value);
  const larger = [
    ...prefixes(whole, (digit) => (digit < 9 ? `[${digit + 1}-9]` : "")),
    `[1-9]\\d{${whole.length},}`,
  ];
  const more = [
    ...prefixes(
      fraction,
      (digit) => (digit < 9 ? `[${digit + 1}-9]` : ""),
      "\\d*",
    ),
    ...(isExcluded ? [`${fraction}0*[1-9]\\d*`] : [`${fraction}\\d*`]),
  ];
  const none = fraction === "" && !isExcluded ? "?" : "";
  return `(?:${larger.join("|")})(?:\\.\\d*)?|${whole}(?:\\.(?:${more.join("|")}))${none}`;
}

function atMost({ value, isExcluded }: Bound): string {
  const [whole, fraction] = digitsOf(value);
  const smaller = [
    ...prefixes(whole, (digit) => (digit > 0 ? `[0-${digit - 1}]` : "")),
    ...(whole.length > 1 ? [`\\d{1,${whole.length - 1}}`] : []),
  ];
  // A fraction that ends early is smaller, one that goes on with zeros is equal.
  const less = [
    ...prefixes(
      fraction,
      (digit) => (digit > 0 ? `[0-${digit - 1}]` : ""),
      "\\d*",
    ),
    ...Array.from(fraction, (_, index) => fraction.slice(0, index)).filter(
      (start) => start !== "",
    ),
    ...(isExcluded ? [] : [`${fraction}0*`]),
  ];
  const equal =
    fraction === ""
      ? isExcluded
        ? []
        : [`${whole}(?:\\.0*)?`]
      : [`${whole}(?:\\.(?:${less.join("|")}))?`];
  const below =
    smaller.length === 0 ? [] : [`(?:${smaller.join("|")})(?:\\.\\d*)?`];
  return [...below, ...equal].join("|");
}

/** Numbers as long as `digits` that differ first at one of them, in the way that `other` says; `tail` is what may follow there. */
function prefixes(
  digits: string,
  other: (digit: number) => string,
  tail?: string,
): string[] {
  return Array.from(digits, (digit, index) => {
    const differing = other(Number(digit));
    const rest = digits.length - index - 1;
    return differing === ""
      ? ""
      : `${digits.slice(0, index)}${differing}${tail ?? `\\d{${rest}}`}`;
  }).filter((choice) => choice !== "");
}
