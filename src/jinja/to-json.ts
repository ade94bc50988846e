/** `json.dumps`, as transformers' `tojson`: nothing is escaped for HTML, and other characters stay as they are unless `ensure_ascii`. */
import { MAX_VALUE_DEPTH, Sink } from "./budget.ts";
import { fail } from "./errors.ts";
import { order } from "./operators.ts";
import { floatText, intText } from "./printing.ts";
import {
  Dict,
  isInt,
  isTrue,
  Tuple,
  typeName,
  unmarked,
  type Value,
} from "./values.ts";

export interface JsonOptions {
  ensureAscii: boolean;
  /** What each level is indented by; undefined: all on one line. */
  indent: string | undefined;
  itemSeparator: string;
  keySeparator: string;
  sortKeys: boolean;
}

/** From the filter's arguments. */
export function jsonOptions(given: {
  ensure_ascii: Value;
  indent: Value;
  separators: Value;
  sort_keys: Value;
}): JsonOptions {
  const { indent, separators } = given;
  const pair = separators instanceof Tuple ? separators.items : separators;
  const [item, key] = Array.isArray(pair)
    ? pair
    : [indent === null ? ", " : ",", ": "];
  if (typeof item !== "string" || typeof key !== "string") {
    fail("separators are a pair of strings");
  }
  return {
    ensureAscii: isTrue(given.ensure_ascii),
    indent: indentOf(indent),
    itemSeparator: item,
    keySeparator: key,
    sortKeys: isTrue(given.sort_keys),
  };
}

/** More is a template's mistake. */
const MAX_INDENT = 1024;

function indentOf(indent: Value): string | undefined {
  if (indent === null) return undefined;
  if (typeof indent === "string") return indent;
  if (!isInt(indent) || Number(indent) > MAX_INDENT) {
    fail("indent is a number or a string");
  }
  return " ".repeat(Math.max(0, Number(indent)));
}

export function toJson(value: Value, options: JsonOptions): string {
  const sink = new Sink();
  new Writer(sink, options).write(value, 0);
  return sink.text;
}

class Writer {
  #sink: Sink;
  #options: JsonOptions;

  constructor(sink: Sink, options: JsonOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  write(given: Value, depth: number): void {
    const value = unmarked(given);
    if (depth > MAX_VALUE_DEPTH) fail("a value is nested too deep for JSON");
    const sink = this.#sink;
    const items = value instanceof Tuple ? value.items : value;
    if (Array.isArray(items)) {
      const list = items as Value[];
      this.#between("[", "]", list, depth, (item) => {
        this.write(item, depth + 1);
      });
    } else if (value instanceof Dict) {
      this.#between("{", "}", this.#entries(value), depth, ([key, item]) => {
        sink.write(this.#string(keyText(key)));
        sink.write(this.#options.keySeparator);
        this.write(item, depth + 1);
      });
    } else if (typeof value === "string") sink.write(this.#string(value));
    else sink.write(scalar(value));
  }

  #entries(value: Dict): [Value, Value][] {
    const entries = value.entries();
    return this.#options.sortKeys
      ? entries.sort(([a], [b]) => order(a, b))
      : entries;
  }

  #between<T>(
    open: string,
    close: string,
    items: readonly T[],
    depth: number,
    write: (item: T) => void,
  ): void {
    const { indent, itemSeparator } = this.#options;
    const sink = this.#sink;
    const line = (level: number): void => {
      if (indent !== undefined) sink.write(`\n${indent.repeat(level)}`);
    };
    sink.write(open);
    for (const [i, item] of items.entries()) {
      if (i > 0) sink.write(itemSeparator);
      line(depth + 1);
      write(item);
    }
    if (items.length > 0) line(depth);
    sink.write(close);
  }

  #string(text: string): string {
    // JSON.stringify escapes the same characters, and lone surrogates, of which a text from JSON may have some.
    const json = JSON.stringify(text);
    if (!this.#options.ensureAscii) return json;
    return json.replace(/[\x7f-\uffff]/g, (unit) =>
      unit === "\x7f"
        ? unit
        : `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  }
}

function scalar(value: Value): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return intText(value);
  if (typeof value === "number") return jsonFloat(value);
  return fail(`Object of type ${typeName(value)} is not JSON serializable`);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value < 0 ? "-Infinity" : "Infinity";
  return floatText(value);
}

function keyText(given: Value): string {
  const key = unmarked(given);
  if (typeof key === "string") return key;
  if (key instanceof Tuple || (typeof key === "object" && key !== null)) {
    fail(
      `keys of JSON must be str, int, float, bool or None, not ${typeName(key)}`,
    );
  }
  return scalar(key);
}
