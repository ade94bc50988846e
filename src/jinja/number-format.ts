/** Numbers in the forms of Python's format types, rounded half to even on the exact value. */
import { fail } from "./errors.ts";

/** Digits behind the point. toFixed and toExponential have no more. */
const MAX_PRECISION = 70;
/** Enough digits to see whether a float lies exactly between two roundings. */
const EXTRA_DIGITS = 30;

/** "3.14": JavaScript rounds an exact half up, Python to the even digit. */
export function fixed(value: number, precision: number): string {
  checkPrecision(precision);
  if (!Number.isFinite(value)) return special(value);
  if (Math.abs(value) >= 1e21) {
    const zeros = precision > 0 ? `.${"0".repeat(precision)}` : "";
    return BigInt(value).toString() + zeros;
  }
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const size = Math.abs(value);
  const exact = size.toFixed(precision + EXTRA_DIGITS);
  const kept = exact.slice(0, -EXTRA_DIGITS).replace(/\.$/, "");
  return (
    sign +
    (isTie(exact.slice(-EXTRA_DIGITS)) && isEven(kept)
      ? kept
      : size.toFixed(precision))
  );
}

/** "1.5e+03" */
export function exponential(value: number, precision: number): string {
  checkPrecision(precision);
  if (!Number.isFinite(value)) return special(value);
  const [digits = "", power = ""] = value.toExponential(precision).split("e");
  const [exact = "", exactPower = ""] = value
    .toExponential(precision + EXTRA_DIGITS)
    .split("e");
  const kept = exact.slice(0, -EXTRA_DIGITS).replace(/\.$/, "");
  const isDown = isTie(exact.slice(-EXTRA_DIGITS)) && isEven(kept);
  return withPower(isDown ? kept : digits, Number(isDown ? exactPower : power));
}

/** The shorter of both, without zeros at the end unless `keepsZeros`. */
export function general(
  value: number,
  precision: number,
  keepsZeros = false,
): string {
  if (!Number.isFinite(value)) return special(value);
  const digits = Math.max(1, precision);
  const power = Number(exponential(value, digits - 1).split("e")[1]);
  const isPlain = power >= -4 && power < digits;
  const text = isPlain
    ? fixed(value, digits - 1 - power)
    : exponential(value, digits - 1);
  if (keepsZeros) return text;
  return text.replace(/\.?0*(?=e|$)/, (zeros, at: number) =>
    text.slice(0, at).includes(".") || zeros.startsWith(".") ? "" : zeros,
  );
}

function withPower(digits: string, power: number): string {
  const sign = power < 0 ? "-" : "+";
  return `${digits}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
}

const special = (value: number): string =>
  Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";

const isTie = (digits: string): boolean => /^50*$/.test(digits);
const isEven = (digits: string): boolean => /[02468]$/.test(digits);

function checkPrecision(precision: number): void {
  if (precision > MAX_PRECISION) {
    fail(`a float of more than ${MAX_PRECISION} digits`);
  }
}

/** `round(value, digits)` of a float. */
export function rounded(value: number, digits: number): number {
  if (!Number.isFinite(value) || digits > 22) return value;
  if (digits >= 0) return Number(fixed(value, digits));
  const unit = 10 ** -digits;
  return Number(fixed(value / unit, 0)) * unit;
}

const RADIX: ReadonlyMap<string, number> = new Map([
  ["b", 2],
  ["o", 8],
  ["x", 16],
  ["X", 16],
]);

/** The size of an int as "ff", with "0x" before it where `isAlternate`. */
export function inRadix(
  value: bigint,
  type: string,
  isAlternate: boolean,
): string {
  const size = value < 0n ? -value : value;
  const digits = size.toString(RADIX.get(type) ?? 10);
  const prefix = isAlternate && RADIX.has(type) ? `0${type}` : "";
  return prefix + (type === "X" ? digits.toUpperCase() : digits);
}
