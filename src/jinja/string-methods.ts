/** The methods of Python's str. They take their arguments by position, as Python's, but for those that `named` lists. */
import {
  capitalize,
  charCount,
  charPosition,
  charSlice,
  charsOf,
  SPACE,
  splitLines,
  stripEnd,
  stripStart,
  titleChar,
} from "./characters.ts";
import { fail } from "./errors.ts";
import { itemsOf } from "./operators.ts";
import {
  intArgument,
  operation,
  textArgument,
  type Operation,
  type Operations,
  type Runtime,
} from "./runtime.ts";
import { REQUIRED, type Bound, type Signature } from "./signature.ts";
import { separator, SPLIT, split } from "./splitting.ts";
import { strFormat } from "./str-format.ts";
import { Tuple, typeName, type Value } from "./values.ts";

const NAMED = new Set([
  "split",
  "rsplit",
  "splitlines",
  "expandtabs",
  "format",
]);

function method<S extends Signature>(
  name: string,
  signature: S,
  run: (text: string, args: Bound<S>, runtime: Runtime) => Value,
): [string, Operation] {
  const [, bound] = operation(name, signature, (runtime, value, args) => {
    const text = textArgument(value, name);
    runtime.budget.chars(text.length);
    return run(text, args, runtime);
  });
  return [
    name,
    (runtime, value, given) => {
      if (given.named.size > 0 && !NAMED.has(name)) {
        fail(`str.${name}() takes no keyword arguments`);
      }
      return bound(runtime, value, given);
    },
  ];
}

const plain = (name: string, run: (text: string) => Value) =>
  method(name, {}, run);

const SPAN = { sub: REQUIRED, start: null, end: null } as const;

export const STRING_METHODS: Operations = new Map([
  plain("capitalize", capitalize),
  plain("casefold", casefold),
  method("center", { width: REQUIRED, fill: " " }, (text, args, { budget }) => {
    const [missing, fill] = padding(text, args, budget);
    const left =
      (missing >> 1) + (missing & intArgument(args.width, "width") & 1);
    return fill.repeat(left) + text + fill.repeat(missing - left);
  }),
  method("count", SPAN, (text, args) => {
    const span = spanOf(text, args);
    const sub = textArgument(args.sub, "argument");
    if (span === undefined) return 0n;
    return BigInt(
      sub === "" ? charCount(span.text) + 1 : occurrences(span.text, sub),
    );
  }),
  method("endswith", SPAN, (text, args) =>
    anyAffix(text, args, (part, affix) => part.endsWith(affix)),
  ),
  method("expandtabs", { tabsize: 8n }, (text, { tabsize }, { budget }) =>
    expandTabs(text, intArgument(tabsize, "tabsize"), budget),
  ),
  method("find", SPAN, (text, args) => find(text, args, "indexOf")),
  [
    "format",
    (runtime, value, given) =>
      strFormat(textArgument(value, "format"), given, runtime, runtime.budget),
  ],
  method("index", SPAN, (text, args) => found(find(text, args, "indexOf"))),
  plain("isalnum", (text) => /^[\p{L}\p{N}]+$/u.test(text)),
  plain("isalpha", (text) => /^\p{L}+$/u.test(text)),
  // eslint-disable-next-line no-control-regex
  plain("isascii", (text) => /^[\x00-\x7f]*$/.test(text)),
  plain("isdecimal", (text) => /^\p{Nd}+$/u.test(text)),
  plain("isdigit", (text) =>
    /^[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒]+$/u.test(text),
  ),
  plain("isidentifier", (text) =>
    /^[\p{ID_Start}_][\p{ID_Continue}]*$/u.test(text),
  ),
  plain("islower", isLower),
  plain("isnumeric", (text) =>
    /^[\p{N}零〇一二三四五六七八九十百千万億兆]+$/u.test(text),
  ),
  plain(
    "isprintable",
    (text) => !/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(text),
  ),
  plain("isspace", (text) => new RegExp(`^[${SPACE}]+$`).test(text)),
  plain("istitle", isTitle),
  plain("isupper", isUpper),
  method("join", { items: REQUIRED }, (text, { items }, { budget }) => {
    const parts = Array.from(itemsOf(items), (item, i) =>
      textArgument(item, `sequence item ${i}`),
    );
    const joints = text.length * Math.max(0, parts.length - 1);
    budget.chars(parts.reduce((sum, part) => sum + part.length, joints));
    budget.items(parts.length);
    return parts.join(text);
  }),
  method("ljust", { width: REQUIRED, fill: " " }, (text, args, { budget }) => {
    const [missing, fill] = padding(text, args, budget);
    return text + fill.repeat(missing);
  }),
  plain("lower", (text) => text.toLowerCase()),
  method("lstrip", { chars: null }, (text, { chars }) =>
    stripStart(text, setOf(chars)),
  ),
  method("partition", { sep: REQUIRED }, (text, { sep }) =>
    partition(text, sep, text.indexOf(separator(sep)), true),
  ),
  method("removeprefix", { prefix: REQUIRED }, (text, { prefix }) => {
    const start = textArgument(prefix, "prefix");
    return text.startsWith(start) ? text.slice(start.length) : text;
  }),
  method("removesuffix", { suffix: REQUIRED }, (text, { suffix }) => {
    const end = textArgument(suffix, "suffix");
    return text.endsWith(end) ? text.slice(0, text.length - end.length) : text;
  }),
  method(
    "replace",
    { old: REQUIRED, new: REQUIRED, count: -1n },
    (text, args, { budget }) =>
      replaceText(
        text,
        textArgument(args.old, "replace() argument 1"),
        textArgument(args.new, "replace() argument 2"),
        intArgument(args.count, "count"),
        budget,
      ),
  ),
  method("rfind", SPAN, (text, args) => find(text, args, "lastIndexOf")),
  method("rindex", SPAN, (text, args) =>
    found(find(text, args, "lastIndexOf")),
  ),
  method("rjust", { width: REQUIRED, fill: " " }, (text, args, { budget }) => {
    const [missing, fill] = padding(text, args, budget);
    return fill.repeat(missing) + text;
  }),
  method("rpartition", { sep: REQUIRED }, (text, { sep }) =>
    partition(text, sep, text.lastIndexOf(separator(sep)), false),
  ),
  method("rsplit", SPLIT, (text, args, runtime) =>
    split(text, args, runtime, true),
  ),
  method("rstrip", { chars: null }, (text, { chars }) =>
    stripEnd(text, setOf(chars)),
  ),
  method("split", SPLIT, (text, args, runtime) =>
    split(text, args, runtime, false),
  ),
  method(
    "splitlines",
    { keepends: false },
    (text, { keepends }, { budget }) => {
      const lines = splitLines(text, Boolean(keepends));
      budget.items(lines.length);
      return lines;
    },
  ),
  method("startswith", SPAN, (text, args) =>
    anyAffix(text, args, (part, affix) => part.startsWith(affix)),
  ),
  method("strip", { chars: null }, (text, { chars }) =>
    stripEnd(stripStart(text, setOf(chars)), setOf(chars)),
  ),
  plain("swapcase", (text) =>
    Array.from(text, (char) =>
      isLower(char) ? char.toUpperCase() : char.toLowerCase(),
    ).join(""),
  ),
  plain("title", (text) =>
    text.replace(
      /(\p{Cased})([\p{Cased}\p{M}]*)/gu,
      (_, first: string, rest: string) => titleChar(first) + rest.toLowerCase(),
    ),
  ),
  plain("upper", (text) => text.toUpperCase()),
  method("zfill", { width: REQUIRED }, (text, args, { budget }) => {
    const [missing] = padding(text, { width: args.width, fill: "0" }, budget);
    const [sign = ""] = /^[-+]/.exec(text) ?? [];
    return sign + "0".repeat(missing) + text.slice(sign.length);
  }),
]);

type Budget = Runtime["budget"];

export function isLower(text: string): boolean {
  return /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);
}

export function isUpper(text: string): boolean {
  return /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
}

function isTitle(text: string): boolean {
  const words = text.match(/\p{Cased}+/gu) ?? [];
  return (
    words.length > 0 &&
    words.every(
      (word) =>
        /^[\p{Uppercase}\p{Lt}]/u.test(word) &&
        !/^.+[\p{Uppercase}\p{Lt}]/u.test(word),
    )
  );
}

function casefold(text: string): string {
  return Array.from(text.replaceAll("ς", "σ"), (char) => {
    const upper = char.toUpperCase();
    return charCount(upper) > 1 ? upper.toLowerCase() : char.toLowerCase();
  }).join("");
}

const setOf = (chars: Value): string | undefined =>
  chars === null ? undefined : textArgument(chars, "strip arg");

function padding(
  text: string,
  args: { width: Value; fill: Value },
  budget: Budget,
): [number, string] {
  const fill = textArgument(args.fill, "fill character");
  if (charCount(fill) !== 1) fail("the fill character must be one character");
  const missing = intArgument(args.width, "width") - charCount(text);
  const count = Math.max(0, missing);
  budget.chars(count);
  return [count, fill];
}

function partition(
  text: string,
  sep: Value,
  at: number,
  isFirst: boolean,
): Tuple {
  const by = separator(sep);
  if (at < 0) return new Tuple(isFirst ? [text, "", ""] : ["", "", text]);
  return new Tuple([text.slice(0, at), by, text.slice(at + by.length)]);
}

/** `text[start:end]` and where it begins; undefined: beyond the end. */
function spanOf(
  text: string,
  { start, end }: { start: Value; end: Value },
): { text: string; from: number } | undefined {
  if (start === null && end === null) return { text, from: 0 };
  const length = charCount(text);
  const place = (value: Value, otherwise: number): number => {
    if (value === null) return otherwise;
    const index = intArgument(value, "index");
    return index < 0 ? Math.max(0, index + length) : index;
  };
  const from = place(start, 0);
  const to = Math.min(place(end, length), length);
  if (from > length || from > to) return undefined;
  return { text: charSlice(text, from, to), from };
}

function find(
  text: string,
  args: Bound<typeof SPAN>,
  how: "indexOf" | "lastIndexOf",
): bigint {
  const sub = textArgument(args.sub, "argument");
  const span = spanOf(text, args);
  const at = span?.text[how](sub) ?? -1;
  if (span === undefined || at < 0) return -1n;
  return BigInt(span.from + charPosition(span.text, at));
}

const found = (at: bigint): bigint =>
  at < 0n ? fail("substring not found") : at;

function anyAffix(
  text: string,
  args: Bound<typeof SPAN>,
  has: (part: string, affix: string) => boolean,
): boolean {
  const affixes = args.sub instanceof Tuple ? args.sub.items : [args.sub];
  const span = spanOf(text, args);
  return affixes.some((affix) => {
    if (typeof affix !== "string") {
      fail(`a str or a tuple of str is required, not ${typeName(affix)}`);
    }
    return span !== undefined && has(span.text, affix);
  });
}

export function replaceText(
  text: string,
  old: string,
  by: string,
  count: number,
  budget: Budget,
): string {
  const found = old === "" ? charCount(text) + 1 : occurrences(text, old);
  const joints = count < 0 ? found : Math.min(count, found);
  budget.chars(text.length + joints * by.length);
  if (joints === found && old !== "") return text.replaceAll(old, () => by);
  const parts = old === "" ? ["", ...charsOf(text), ""] : text.split(old);
  const rest = parts.slice(joints).join(old);
  return [...parts.slice(0, joints), rest].join(by);
}

/** Counted before a list of them is made. */
function occurrences(text: string, what: string): number {
  let count = 0;
  for (let at = text.indexOf(what); at >= 0; count++) {
    at = text.indexOf(what, at + what.length);
  }
  return count;
}

function expandTabs(text: string, size: number, budget: Budget): string {
  let column = 0;
  const parts = charsOf(text).map((char) => {
    if (char === "\t") {
      const width = size > 0 ? size - (column % size) : 0;
      column += width;
      budget.chars(width);
      return " ".repeat(width);
    }
    column = char === "\n" || char === "\r" ? 0 : column + 1;
    return char;
  });
  return parts.join("");
}
