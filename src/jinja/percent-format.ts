/** `"%s has %d" % (name, count)` */
import type { Budget } from "./budget.ts";
import { boundText, Sink } from "./budget.ts";
import { charCount, charSlice } from "./characters.ts";
import { fail } from "./errors.ts";
import { exponential, fixed, general, inRadix } from "./number-format.ts";
import { intText, reprOf, textOf } from "./printing.ts";
import {
  Dict,
  isInt,
  isNumber,
  Range,
  toBigInt,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

const FIELD =
  /%(?:\(([^)]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?([hlL]?)([^])?/g;
const FIELD_PRECISION = /\.(\*|\d+)?[hlL]?[^]?$/;

interface Field {
  flags: string;
  width: number;
  precision: number | undefined;
  type: string;
}

export function percentFormat(
  pattern: string,
  values: Value,
  budget: Budget,
): string {
  budget.chars(pattern.length);
  const given = values instanceof Tuple ? values.items : [values];
  let used = 0;
  const take = (): Value => given[used++] ?? nullOr(given, used - 1);
  const sink = new Sink();
  let end = 0;
  for (const match of pattern.matchAll(FIELD)) {
    sink.write(pattern.slice(end, match.index));
    end = match.index + match[0].length;
    const [all, key, flags = "", width, , , type] = match;
    if (type === undefined) fail("incomplete format");
    if (type === "%") {
      sink.write("%");
      continue;
    }
    const precision = FIELD_PRECISION.exec(all);
    const field: Field = {
      flags,
      width: sizeOf(width, take) ?? 0,
      precision:
        precision === null ? undefined : (sizeOf(precision[1], take) ?? 0),
      type,
    };
    boundText(field.width);
    const value = key === undefined ? take() : ofKey(values, key);
    sink.write(written(field, value));
  }
  sink.write(pattern.slice(end));
  const mayBeUnused =
    values instanceof Dict || Array.isArray(values) || isMappingLike(values);
  if (used < given.length && !(mayBeUnused && used === 0)) {
    fail("not all arguments converted during string formatting");
  }
  return sink.text;
}

/** What has items by key may stay unused. */
const isMappingLike = (value: Value): boolean =>
  value instanceof Undefined || value instanceof Range;

function nullOr(given: readonly Value[], index: number): null {
  if (index >= given.length) fail("not enough arguments for format string");
  return null;
}

function ofKey(values: Value, key: string): Value {
  if (!(values instanceof Dict)) fail("format requires a mapping");
  return values.get(key) ?? failKey(values, key);
}

function failKey(values: Dict, key: string): null {
  if (values.get(key) === undefined) fail(`no key '${key}' to format`);
  return null;
}

function sizeOf(
  text: string | undefined,
  take: () => Value,
): number | undefined {
  if (text === undefined) return undefined;
  const size = text === "*" ? take() : Number(text);
  if (typeof size === "number" || typeof size === "bigint") return Number(size);
  return fail("* wants int");
}

function written(field: Field, value: Value): string {
  const { flags, type, precision } = field;
  switch (type) {
    case "s":
    case "r":
    case "a": {
      const text = type === "s" ? textOf(value) : reprOf(value);
      const cut =
        precision === undefined ? text : charSlice(text, 0, precision);
      return padded(field, "", cut, false);
    }
    case "c":
      return padded(field, "", character(value), false);
    case "d":
    case "i":
    case "u":
    case "x":
    case "X":
    case "o": {
      const int = toInt(value, type);
      const digits =
        type === "x" || type === "X" || type === "o"
          ? inRadix(int, type, flags.includes("#"))
          : intText(int < 0n ? -int : int);
      const filled = digits.padStart(precision ?? 0, "0");
      return padded(field, signOf(flags, int < 0n), filled, true);
    }
    case "e":
    case "E":
    case "f":
    case "F":
    case "g":
    case "G": {
      if (!isNumber(value)) fail(`%${type} format: a real number is required`);
      const float = Number(value);
      const size = Math.abs(float);
      const lower = type.toLowerCase();
      const digits = precision ?? 6;
      const text =
        lower === "f"
          ? fixed(size, digits)
          : lower === "e"
            ? exponential(size, digits)
            : general(size, digits, flags.includes("#"));
      const cased = type === lower ? text : text.toUpperCase();
      const isNegative = float < 0 || Object.is(float, -0);
      return padded(field, signOf(flags, isNegative), cased, true);
    }
    default:
      return fail(`unsupported format character '${type}'`);
  }
}

function signOf(flags: string, isNegative: boolean): string {
  if (isNegative) return "-";
  if (flags.includes("+")) return "+";
  return flags.includes(" ") ? " " : "";
}

function padded(
  { flags, width }: Field,
  sign: string,
  text: string,
  isNumeric: boolean,
): string {
  const missing = Math.max(0, width - charCount(text) - sign.length);
  if (flags.includes("-")) return sign + text + " ".repeat(missing);
  if (isNumeric && flags.includes("0"))
    return sign + "0".repeat(missing) + text;
  return " ".repeat(missing) + sign + text;
}

function toInt(value: Value, type: string): bigint {
  if (isInt(value)) return toBigInt(value);
  const isDecimal = type === "d" || type === "i" || type === "u";
  if (typeof value === "number" && isDecimal && Number.isFinite(value)) {
    return BigInt(Math.trunc(value));
  }
  return fail(`%${type} format: a number is required, not ${typeName(value)}`);
}

function character(value: Value): string {
  if (typeof value === "string" && charCount(value) === 1) return value;
  if (isInt(value) && toBigInt(value) >= 0n && toBigInt(value) <= 0x10ffffn) {
    return String.fromCodePoint(Number(value));
  }
  return fail("%c requires int or char");
}
