/** `str()` and `repr()` of Python. */
import { MAX_VALUE_DEPTH, Sink } from "./budget.ts";
import { fail } from "./errors.ts";
import {
  Dict,
  DictView,
  Markup,
  PyObject,
  Tuple,
  type Value,
} from "./values.ts";

/** Python refuses to print longer ints. */
const MAX_INT_DIGITS = 4300;

export function textOf(value: Value): string {
  if (typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof PyObject && value.typeName === "Undefined") return "";
  return reprOf(value);
}

export function reprOf(value: Value): string {
  const sink = new Sink();
  write(sink, value, 0);
  return sink.text;
}

function write(sink: Sink, value: Value, depth: number): void {
  if (depth > MAX_VALUE_DEPTH) fail("a value is nested too deep to be printed");
  if (value === null) sink.write("None");
  else if (typeof value === "boolean") sink.write(value ? "True" : "False");
  else if (typeof value === "bigint") sink.write(intText(value));
  else if (typeof value === "number") sink.write(floatText(value));
  else if (typeof value === "string") sink.write(quoted(value));
  else if (value instanceof Markup) sink.write(`Markup(${quoted(value.text)})`);
  else if (Array.isArray(value)) list(sink, "[", value, "]", depth);
  else if (value instanceof Tuple) {
    const end = value.items.length === 1 ? ",)" : ")";
    list(sink, "(", value.items, end, depth);
  } else if (value instanceof DictView) {
    list(sink, `${value.typeName}([`, value.items, "])", depth);
  } else if (value instanceof Dict) dict(sink, value, depth);
  else sink.write(value.repr());
}

function list(
  sink: Sink,
  open: string,
  items: readonly Value[],
  close: string,
  depth: number,
): void {
  sink.write(open);
  for (const [i, item] of items.entries()) {
    if (i > 0) sink.write(", ");
    write(sink, item, depth + 1);
  }
  sink.write(close);
}

function dict(sink: Sink, value: Dict, depth: number): void {
  sink.write("{");
  for (const [i, [key, item]] of value.entries().entries()) {
    if (i > 0) sink.write(", ");
    write(sink, key, depth + 1);
    sink.write(": ");
    write(sink, item, depth + 1);
  }
  sink.write("}");
}

export function intText(value: bigint): string {
  const text = value.toString();
  if (text.length > MAX_INT_DIGITS) {
    fail(`an int of more than ${MAX_INT_DIGITS} digits cannot be printed`);
  }
  return text;
}

/** The shortest digits that give the float again, with an exponent where Python has one. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa = "", power = "0"] = value.toExponential().split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 16) {
    if (exponent >= 0) {
      const plain = value.toString();
      return plain.includes(".") ? plain : `${plain}.0`;
    }
    const digits = mantissa.replace("-", "").replace(".", "");
    return `${value < 0 ? "-" : ""}0.${"0".repeat(-exponent - 1)}${digits}`;
  }
  const sign = exponent < 0 ? "-" : "+";
  return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

const NAMED_ESCAPES: ReadonlyMap<string, string> = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

export function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\'"]|[\p{C}\p{Z}]/gu, (char) => {
    if (char === " ") return char;
    if (char === "'" || char === '"') {
      return char === quote ? `\\${char}` : char;
    }
    return NAMED_ESCAPES.get(char) ?? codeEscape(char.codePointAt(0) ?? 0);
  });
  return quote + inner + quote;
}

/** A character by its number, as `\xhh`, `\uhhhh` or `\Uhhhhhhhh`. */
export function codeEscape(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  if (code < 0x10000) return `\\u${hex.padStart(4, "0")}`;
  return `\\U${hex.padStart(8, "0")}`;
}
