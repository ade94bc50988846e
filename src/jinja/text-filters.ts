/** Filters that give texts or numbers. */
import {
  capitalize,
  charCount,
  charSlice,
  escaped,
  SPACE,
  splitLines,
  stripEnd,
  stripStart,
} from "./characters.ts";
import { fail } from "./errors.ts";
import { fixed, rounded } from "./number-format.ts";
import { itemsOf, lengthOf, listOf, toFloat } from "./operators.ts";
import { percentFormat } from "./percent-format.ts";
import { textOf } from "./printing.ts";
import {
  intArgument,
  operation,
  textArgument,
  type Operation,
  type Operations,
} from "./runtime.ts";
import { REQUIRED, type Bound, type Signature } from "./signature.ts";
import { replaceText, STRING_METHODS } from "./string-methods.ts";
import { jsonOptions, toJson } from "./to-json.ts";
import {
  Dict,
  isInt,
  isNumber,
  isTrue,
  Markup,
  toBigInt,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** A filter of the value's text. */
function ofText<S extends Signature>(
  name: string,
  signature: S,
  run: (text: string, args: Bound<S>) => Value,
): [string, Operation] {
  return operation(name, signature, ({ budget }, value, args) => {
    const text = textOf(value);
    budget.chars(text.length);
    return run(text, args);
  });
}

/** What is marked as escaped stays as it is. */
const escaping = (name: string): [string, Operation] =>
  operation(name, {}, ({ budget }, value) => {
    if (value instanceof Markup) return value;
    const text = textOf(value);
    budget.chars(text.length);
    return new Markup(escaped(text));
  });

export const TEXT_FILTERS: Operations = new Map([
  operation("abs", {}, (_runtime, value) => {
    if (isInt(value)) {
      const int = toBigInt(value);
      return int < 0n ? -int : int;
    }
    if (typeof value === "number") return Math.abs(value);
    return fail(`bad operand type for abs(): '${typeName(value)}'`);
  }),
  ofText("capitalize", {}, capitalize),
  operation("center", { width: 80n }, (runtime, value, { width }) =>
    method("center")(runtime, textOf(value), {
      args: [width],
      named: new Map(),
    }),
  ),
  escaping("e"),
  escaping("escape"),
  operation(
    "filesizeformat",
    { binary: false },
    (_runtime, value, { binary }) =>
      fileSize(floatOf(value) ?? fail("no number of bytes"), isTrue(binary)),
  ),
  operation(
    "float",
    { default: 0 },
    (_runtime, value, args) => floatOf(value) ?? args.default,
  ),
  ofText("forceescape", {}, (text) => new Markup(escaped(text))),
  [
    "format",
    ({ budget }, value, { args, named }) => {
      if (args.length > 0 && named.size > 0) {
        fail("format takes arguments either by position or by name");
      }
      const values = named.size > 0 ? new Dict(named) : new Tuple(args);
      return percentFormat(textOf(value), values, budget);
    },
  ],
  operation(
    "indent",
    { width: 4n, first: false, blank: false },
    ({ budget }, value, args) => {
      if (value instanceof Undefined) value.fail();
      const text = textArgument(value, "indent");
      const by =
        typeof args.width === "string"
          ? args.width
          : " ".repeat(Math.max(0, boundedWidth(args.width)));
      const lines = splitLines(`${text}\n`);
      budget.chars(text.length + lines.length * (by.length + 1));
      return indented(lines, by, isTrue(args.first), isTrue(args.blank));
    },
  ),
  operation(
    "int",
    { default: 0n, base: 10n },
    (_runtime, value, args) =>
      intOf(value, intArgument(args.base, "base")) ?? args.default,
  ),
  ofText("lower", {}, (text) => text.toLowerCase()),
  operation(
    "round",
    { precision: 0n, method: "common" },
    (_runtime, value, { precision, method }) =>
      round(value, intArgument(precision, "precision"), method),
  ),
  ofText("safe", {}, (text) => new Markup(text)),
  operation("string", {}, (_runtime, value) =>
    value instanceof Markup ? value : textOf(value),
  ),
  ofText("striptags", {}, stripTags),
  ofText("title", {}, (text) =>
    text
      .split(TITLE_BREAKS)
      .map((part) => {
        const [first = "", ...rest] = Array.from(part);
        return first.toUpperCase() + rest.join("").toLowerCase();
      })
      .join(""),
  ),
  operation(
    "tojson",
    { ensure_ascii: false, indent: null, separators: null, sort_keys: false },
    ({ budget }, value, args) => {
      const json = toJson(value, jsonOptions(args));
      budget.chars(json.length);
      return json;
    },
  ),
  ofText("trim", { chars: null }, (text, { chars }) => {
    const set = chars === null ? undefined : textArgument(chars, "chars");
    return stripEnd(stripStart(text, set), set);
  }),
  operation(
    "truncate",
    { length: 255n, killwords: false, end: "...", leeway: null },
    ({ budget }, value, args) => {
      if (typeof value === "string") budget.chars(value.length);
      return truncated(value, args);
    },
  ),
  ofText("upper", {}, (text) => text.toUpperCase()),
  operation("urlencode", {}, ({ budget }, value) => {
    if (typeof value === "string" || isNumber(value) || value === null) {
      return urlQuoted(value, false);
    }
    const pairs =
      value instanceof Dict
        ? value.entries()
        : listOf(value, budget).map((pair) => Array.from(itemsOf(pair)));
    if (pairs.some((pair) => pair.length !== 2)) fail("urlencode takes pairs");
    return pairs
      .map((pair) => pair.map((part) => urlQuoted(part, true)).join("="))
      .join("&");
  }),
  ofText("wordcount", {}, (text) =>
    BigInt(text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
  ),
  operation(
    "xmlattr",
    { autospace: true },
    (_runtime, value, { autospace }) => {
      const entries = value instanceof Dict ? value.entries() : fail("no dict");
      const attributes = entries
        .filter(([, item]) => item !== null && !(item instanceof Undefined))
        .map(
          ([key, item]) => `${attributeName(key)}="${escaped(textOf(item))}"`,
        );
      const space = isTrue(autospace) && attributes.length > 0 ? " " : "";
      return space + attributes.join(" ");
    },
  ),
  operation(
    "replace",
    { old: REQUIRED, new: REQUIRED, count: null },
    ({ budget }, value, args) => {
      const count = args.count === null ? -1 : intArgument(args.count, "count");
      const [old, by] = [textOf(args.old), textOf(args.new)];
      return replaceText(textOf(value), old, by, count, budget);
    },
  ),
]);

const method = (name: string): Operation =>
  STRING_METHODS.get(name) ?? fail(`no method ${name}`);

/** Wider indents are a template's mistake. */
const MAX_INDENT = 1024;

function boundedWidth(width: Value): number {
  const count = intArgument(width, "width");
  return count > MAX_INDENT ? fail("an indent is too wide") : count;
}

function attributeName(key: Value): string {
  const name = textArgument(key, "attribute name");
  return /[\s/>=]/.test(name)
    ? fail("invalid character in attribute name")
    : escaped(name);
}

function stripTags(text: string): string {
  const bare = text.replace(/<!--.*?-->/gs, "").replace(/<[^>]*>/g, "");
  const spaced = bare
    .split(SPACES)
    .filter((word) => word !== "")
    .join(" ");
  return spaced.replace(
    /&(amp|lt|gt|quot|#39|#34|nbsp);/g,
    (all, name: string) => UNESCAPED.get(name) ?? all,
  );
}

const SPACES = new RegExp(`[${SPACE}]+`);
const UNESCAPED: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["#34", '"'],
  ["#39", "'"],
  ["nbsp", "\xa0"],
]);

const TITLE_BREAKS = new RegExp(`([-${SPACE}({\\[<]+)`);

const SIZES = "kMGTPEZY";

function fileSize(bytes: number, isBinary: boolean): string {
  const base = isBinary ? 1024 : 1000;
  if (bytes === 1) return "1 Byte";
  if (bytes < base) return `${Math.trunc(bytes)} Bytes`;
  let unit = base;
  let at = 0;
  while (bytes >= unit * base && at < SIZES.length - 1) {
    unit *= base;
    at++;
  }
  const prefix = SIZES[at] ?? "";
  const name = isBinary ? `${prefix.toUpperCase()}iB` : `${prefix}B`;
  return `${fixed(bytes / unit, 1)} ${name}`;
}

const FLOAT_TEXT =
  /^[-+]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[-+]?\d+)?$/i;
const FLOAT_WORD = /^([-+]?)(inf|infinity|nan)$/i;

/** Python's `float(x)`; undefined: it is none. */
function floatOf(value: Value): number | undefined {
  if (value instanceof Undefined) value.fail();
  if (isNumber(value)) return toFloat(value);
  if (typeof value !== "string") return undefined;
  const text = stripEnd(stripStart(value));
  const [, sign, word] = FLOAT_WORD.exec(text) ?? [];
  if (word !== undefined) {
    if (word.toLowerCase() === "nan") return Number.NaN;
    return sign === "-" ? -Infinity : Infinity;
  }
  return FLOAT_TEXT.test(text) ? Number(text.replaceAll("_", "")) : undefined;
}

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";
const RADIX_PREFIX: ReadonlyMap<number, string> = new Map([
  [2, "0b"],
  [8, "0o"],
  [16, "0x"],
]);
/** Python refuses to read longer ints. */
const MAX_INT_DIGITS = 4300;

/** Python's `int(x, base)`, or the int of its float; undefined: it is neither. */
function intOf(value: Value, base: number): bigint | undefined {
  if (isInt(value)) return toBigInt(value);
  if (typeof value === "string") {
    const int = parsedInt(value, base);
    if (int !== undefined) return int;
  }
  const float = floatOf(value);
  if (float === undefined || Number.isNaN(float)) return undefined;
  if (Number.isFinite(float)) return BigInt(Math.trunc(float));
  return typeof value === "number"
    ? fail("cannot convert float infinity to integer")
    : undefined;
}

function parsedInt(value: string, base: number): bigint | undefined {
  const text = stripEnd(stripStart(value)).toLowerCase();
  const [, sign, all = ""] = /^([-+]?)(.*)$/s.exec(text) ?? [];
  const prefix = RADIX_PREFIX.get(base);
  const body =
    prefix !== undefined && all.startsWith(prefix)
      ? all.slice(2).replace(/^_/, "")
      : all;
  if (!/^[\da-z]+(?:_[\da-z]+)*$/.test(body)) return undefined;
  const digits = Array.from(body.replaceAll("_", ""), (d) => DIGITS.indexOf(d));
  if (digits.some((digit) => digit >= base)) return undefined;
  if (digits.length > MAX_INT_DIGITS) return undefined;
  const size = digits.reduce(
    (sum, digit) => sum * BigInt(base) + BigInt(digit),
    0n,
  );
  return sign === "-" ? -size : size;
}

function indented(
  lines: string[],
  by: string,
  isFirst: boolean,
  isBlank: boolean,
): string {
  const [first = "", ...rest] = lines;
  const others = rest.map((line) =>
    line === "" && !isBlank ? line : by + line,
  );
  return (isFirst ? by : "") + [first, ...others].join("\n");
}

function round(value: Value, precision: number, how: Value): Value {
  if (!isNumber(value)) {
    return fail(`type ${typeName(value)} has no rounding`);
  }
  if (how === "common") {
    if (typeof value === "number") return rounded(value, precision);
    return precision >= 0
      ? toBigInt(value)
      : roundedInt(toBigInt(value), -precision);
  }
  if (how !== "ceil" && how !== "floor")
    fail("method must be common, ceil or floor");
  const scale = 10 ** precision;
  const scaled = Number(value) * scale;
  return (how === "ceil" ? Math.ceil(scaled) : Math.floor(scaled)) / scale;
}

function roundedInt(value: bigint, zeros: number): bigint {
  if (zeros > MAX_INT_DIGITS) return 0n;
  const unit = 10n ** BigInt(zeros);
  const rest = ((value % unit) + unit) % unit;
  const low = value - rest;
  const isUp =
    rest * 2n > unit || (rest * 2n === unit && (low / unit) % 2n !== 0n);
  return isUp ? low + unit : low;
}

/** What Jinja2's policy sets. */
const LEEWAY = 5;

function truncated(
  value: Value,
  args: { length: Value; killwords: Value; end: Value; leeway: Value },
): Value {
  const end = textArgument(args.end, "end");
  const length = intArgument(args.length, "length");
  const leeway =
    args.leeway === null ? LEEWAY : intArgument(args.leeway, "leeway");
  if (length < charCount(end)) fail("length is shorter than the end");
  if (leeway < 0) fail("leeway is negative");
  if (lengthOf(value) <= length + leeway) return value;
  const text = textArgument(value, "truncate");
  const kept = charSlice(text, 0, length - charCount(end));
  const space = kept.lastIndexOf(" ");
  return (
    (isTrue(args.killwords) || space < 0 ? kept : kept.slice(0, space)) + end
  );
}

function urlQuoted(value: Value, isQuery: boolean): string {
  const quotedText = Array.from(textOf(value).toWellFormed(), (char) =>
    /[\w.~-]/.test(char) || (char === "/" && !isQuery)
      ? char
      : [...new TextEncoder().encode(char)]
          .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
          .join(""),
  ).join("");
  return isQuery ? quotedText.replaceAll("%20", "+") : quotedText;
}
