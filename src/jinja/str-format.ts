/** `"{} has {count:>5}".format(name, count=3)` */
import { boundText, Sink, type Budget } from "./budget.ts";
import { charCount, charSlice } from "./characters.ts";
import { fail } from "./errors.ts";
import { exponential, fixed, general, inRadix } from "./number-format.ts";
import { floatText, reprOf, textOf } from "./printing.ts";
import {
  isInt,
  toBigInt,
  typeName,
  type Arguments,
  type Value,
} from "./values.ts";

/** How a field's `.name` and `[key]` are looked up: by the environment, so that nothing is reached this way that is not otherwise. */
export interface Lookup {
  attribute(of: Value, name: string): Value;
  item(of: Value, key: Value): Value;
}

/** A field within a field's format, and no deeper, as in Python. */
const MAX_FIELD_DEPTH = 2;

export function strFormat(
  pattern: string,
  given: Arguments,
  lookup: Lookup,
  budget: Budget,
): string {
  return new Formatter(given, lookup, budget).format(pattern, 1);
}

class Formatter {
  #given: Arguments;
  #lookup: Lookup;
  #budget: Budget;
  #next = 0;

  constructor(given: Arguments, lookup: Lookup, budget: Budget) {
    this.#given = given;
    this.#lookup = lookup;
    this.#budget = budget;
  }

  format(pattern: string, depth: number): string {
    if (depth > MAX_FIELD_DEPTH) fail("a format within a field's format");
    this.#budget.chars(pattern.length);
    const sink = new Sink();
    let at = 0;
    while (at < pattern.length) {
      const brace = pattern.slice(at).search(/[{}]/);
      if (brace < 0) break;
      sink.write(pattern.slice(at, at + brace));
      at += brace;
      if (pattern[at] === pattern[at + 1]) {
        sink.write(pattern[at] ?? "");
        at += 2;
        continue;
      }
      if (pattern[at] === "}") fail("Single '}' encountered in format string");
      const end = fieldEnd(pattern, at);
      sink.write(this.#field(pattern.slice(at + 1, end), depth));
      at = end + 1;
    }
    sink.write(pattern.slice(at));
    return sink.text;
  }

  #field(field: string, depth: number): string {
    const match = /^([^!:]*)(?:!([^:]*))?(?::([^]*))?$/.exec(field);
    if (match === null) fail("bad field in format string");
    const [, name = "", conversion, spec = ""] = match;
    const value = this.#value(name);
    const converted =
      conversion === undefined
        ? value
        : conversion === "s"
          ? textOf(value)
          : conversion === "r" || conversion === "a"
            ? reprOf(value)
            : fail("unknown conversion in format string");
    return formatted(
      converted,
      spec.includes("{") ? this.format(spec, depth + 1) : spec,
    );
  }

  #value(field: string): Value {
    const [, first = "", rest = ""] = /^([^.[]*)([^]*)$/.exec(field) ?? [];
    let value = this.#argument(first);
    for (const [, name, key] of rest.matchAll(/\.([^.[]+)|\[([^\]]*)\]/g)) {
      value =
        name === undefined
          ? this.#lookup.item(
              value,
              /^\d+$/.test(key ?? "") ? BigInt(key ?? 0) : (key ?? ""),
            )
          : this.#lookup.attribute(value, name);
    }
    return value;
  }

  #argument(name: string): Value {
    const isIndex = name === "" || /^\d+$/.test(name);
    const value = isIndex
      ? this.#given.args[name === "" ? this.#next++ : Number(name)]
      : this.#given.named.get(name);
    if (value === undefined) fail(`format has no argument '${name}'`);
    return value;
  }
}

/** The brace that ends a field, which may have fields within. */
function fieldEnd(pattern: string, start: number): number {
  let open = 0;
  for (let i = start; i < pattern.length; i++) {
    if (pattern[i] === "{") open++;
    else if (pattern[i] === "}" && --open === 0) return i;
  }
  return fail("expected '}' before end of string");
}

const SPEC =
  /^(?:([^])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/u;

interface Spec {
  fill: string;
  align: string | undefined;
  sign: string;
  isAlternate: boolean;
  width: number;
  grouping: string;
  precision: number | undefined;
  type: string | undefined;
}

function formatted(value: Value, text: string): string {
  if (text === "") return textOf(value);
  const match = SPEC.exec(text);
  if (match === null) fail(`invalid format specifier '${text.slice(0, 40)}'`);
  const [
    ,
    fill,
    align,
    sign = "-",
    alternate,
    zero,
    width,
    grouping = "",
    precision,
    type,
  ] = match;
  const spec: Spec = {
    fill: fill ?? (zero === undefined ? " " : "0"),
    align: align ?? (zero === undefined ? undefined : "="),
    sign,
    isAlternate: alternate !== undefined,
    width: Number(width ?? 0),
    grouping,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
  boundText(spec.width);
  if (typeof value === "string") return ofText(value, spec);
  if (isInt(value) && !/^[eEfFgG%]$/.test(type ?? "")) {
    return ofInt(toBigInt(value), spec);
  }
  if (isInt(value) || typeof value === "number") {
    return ofFloat(Number(value), spec);
  }
  return fail(`unsupported format string passed to ${typeName(value)}`);
}

function ofText(text: string, spec: Spec): string {
  if (![undefined, "s"].includes(spec.type) || spec.align === "=") {
    fail("a format of numbers for a string");
  }
  const cut =
    spec.precision === undefined ? text : charSlice(text, 0, spec.precision);
  return aligned("", cut, { ...spec, align: spec.align ?? "<" });
}

function ofInt(value: bigint, spec: Spec): string {
  const { type = "d" } = spec;
  if (spec.precision !== undefined || type === "s") {
    fail("a format that an int does not have");
  }
  if (type === "c")
    return aligned("", String.fromCodePoint(Number(value)), spec);
  const digits = inRadix(value, type, spec.isAlternate);
  return aligned(signOf(spec, value < 0n), grouped(digits, spec), spec);
}

function ofFloat(value: number, spec: Spec): string {
  const size = Math.abs(value);
  const { type, precision } = spec;
  const isNegative = value < 0 || Object.is(value, -0);
  const text = floatDigits(size, type, precision);
  const cased = /[EFG]/.test(type ?? "") ? text.toUpperCase() : text;
  return aligned(signOf(spec, isNegative), grouped(cased, spec), spec);
}

function floatDigits(
  size: number,
  type: string | undefined,
  precision: number | undefined,
): string {
  switch (type?.toLowerCase()) {
    case "f":
      return fixed(size, precision ?? 6);
    case "%":
      return `${fixed(size * 100, precision ?? 6)}%`;
    case "e":
      return exponential(size, precision ?? 6);
    case "g":
    case "n":
      return general(size, precision ?? 6);
    case undefined: {
      if (precision === undefined) return floatText(size);
      const text = general(size, precision);
      return /[.en]/.test(text) ? text : `${text}.0`;
    }
    default:
      return fail("a format that a float does not have");
  }
}

const signOf = ({ sign }: Spec, isNegative: boolean): string =>
  isNegative ? "-" : sign === "-" ? "" : sign;

/** Thousands by "," or "_". */
function grouped(digits: string, { grouping }: Spec): string {
  if (grouping === "") return digits;
  return digits.replace(/^\d+/, (whole) =>
    whole.replace(/\B(?=(?:\d{3})+$)/g, grouping),
  );
}

function aligned(sign: string, text: string, spec: Spec): string {
  const missing = Math.max(0, spec.width - charCount(text) - sign.length);
  const pad = (count: number): string => spec.fill.repeat(count);
  switch (spec.align ?? ">") {
    case "<":
      return sign + text + pad(missing);
    case "^":
      return pad(missing >> 1) + sign + text + pad(missing - (missing >> 1));
    case "=":
      return sign + pad(missing) + text;
    default:
      return pad(missing) + sign + text;
  }
}
