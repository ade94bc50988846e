/** Python's operators. */
import { boundText, MAX_VALUE_DEPTH, type Budget } from "./budget.ts";
import { charCount, compareText, escaped } from "./characters.ts";
import { fail } from "./errors.ts";
import { percentFormat } from "./percent-format.ts";
import {
  Dict,
  DictView,
  isHashable,
  isInt,
  isNumber,
  Markup,
  Range,
  toBigInt,
  Tuple,
  typeName,
  Undefined,
  unmarked,
  type Value,
} from "./values.ts";

/** Bits of an int: no template counts further. */
const MAX_INT_BITS = 65_536;
const INT_LIMIT = 1n << BigInt(MAX_INT_BITS);

type Int = bigint | boolean;
type Num = Int | number;

export function toFloat(value: Num): number {
  const float = Number(value);
  if (typeof value === "bigint" && !Number.isFinite(float)) {
    fail("int too large to convert to float");
  }
  return float;
}

function boundInt(value: bigint): bigint {
  if (value > INT_LIMIT || value < -INT_LIMIT) fail("an int is too large");
  return value;
}

export function arithmetic(
  operator: string,
  left: Value,
  right: Value,
  budget: Budget,
): Value {
  if (left instanceof Markup || right instanceof Markup) {
    return ofMarkup(operator, left, right, budget);
  }
  if (operator === "%" && typeof left === "string") {
    return percentFormat(left, right, budget);
  }
  if (left instanceof Undefined) left.fail();
  if (right instanceof Undefined) right.fail();
  if (isNumber(left) && isNumber(right)) {
    return isInt(left) && isInt(right)
      ? ofInts(operator, toBigInt(left), toBigInt(right))
      : ofFloats(operator, toFloat(left), toFloat(right));
  }
  const joined =
    operator === "+"
      ? added(left, right, budget)
      : operator === "*"
        ? (repeated(left, right, budget) ?? repeated(right, left, budget))
        : undefined;
  return (
    joined ??
    fail(
      `unsupported operand types for ${operator}: '${typeName(left)}' and '${typeName(right)}'`,
    )
  );
}

/** "+" escapes the other text. */
function ofMarkup(
  operator: string,
  left: Value,
  right: Value,
  budget: Budget,
): Value {
  const isSum = operator === "+";
  const part = (value: Value): Value =>
    isSum && typeof value === "string" ? escaped(value) : unmarked(value);
  const result = arithmetic(operator, part(left), part(right), budget);
  return typeof result === "string" ? new Markup(result) : result;
}

function ofInts(operator: string, a: bigint, b: bigint): Value {
  switch (operator) {
    case "+":
      return boundInt(a + b);
    case "-":
      return boundInt(a - b);
    case "*":
      return boundInt(a * b);
    case "**":
      return b < 0n ? ofFloats("**", toFloat(a), toFloat(b)) : power(a, b);
    case "/":
      return ofFloats("/", toFloat(a), toFloat(b));
  }
  if (b === 0n) fail("integer division or modulo by zero");
  const rest = a % b;
  const isOff = rest !== 0n && rest < 0n !== b < 0n;
  if (operator === "%") return isOff ? rest + b : rest;
  return isOff ? a / b - 1n : a / b;
}

function power(base: bigint, exponent: bigint): bigint {
  const bits = BigInt(base.toString(2).length) * exponent;
  const isSmall = base >= -1n && base <= 1n;
  if (!isSmall && bits > BigInt(MAX_INT_BITS) * 2n) fail("an int is too large");
  if (isSmall)
    return exponent === 0n
      ? 1n
      : base === -1n && exponent % 2n === 0n
        ? 1n
        : base;
  return boundInt(base ** exponent);
}

function ofFloats(operator: string, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "**":
      return floatPower(a, b);
  }
  if (b === 0) fail("float division by zero");
  if (operator === "/") return a / b;
  const rest = floatModulo(a, b);
  if (operator === "%") return rest;
  // As CPython, from the rest, so that no rounding carries the quotient over.
  const quotient = (a - rest) / b;
  if (quotient === 0) return 1 / (a / b) < 0 ? -0 : 0;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

function floatModulo(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

function floatPower(a: number, b: number): number {
  if (a === 0 && b < 0) fail("0.0 cannot be raised to a negative power");
  const result = a ** b;
  if (Number.isNaN(result) && !Number.isNaN(a) && !Number.isNaN(b)) {
    fail("complex numbers are not supported");
  }
  if (!Number.isFinite(result) && Number.isFinite(a) && Number.isFinite(b)) {
    fail("result too large");
  }
  return result;
}

function added(left: Value, right: Value, budget: Budget): Value | undefined {
  if (typeof left === "string" && typeof right === "string") {
    boundText(left.length + right.length);
    budget.step();
    return left + right;
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    budget.items(left.length + right.length);
    return [...left, ...right];
  }
  if (left instanceof Tuple && right instanceof Tuple) {
    budget.items(left.items.length + right.items.length);
    return new Tuple([...left.items, ...right.items]);
  }
  return undefined;
}

function repeated(
  what: Value,
  times: Value,
  budget: Budget,
): Value | undefined {
  if (!isInt(times)) return undefined;
  const count = Math.max(0, Number(times));
  if (typeof what === "string") {
    budget.chars(what.length * count);
    return what.length === 0 ? "" : what.repeat(count);
  }
  const items = what instanceof Tuple ? what.items : what;
  if (!Array.isArray(items)) return undefined;
  budget.items(items.length * count);
  const copies =
    items.length === 0
      ? []
      : Array.from({ length: count }, () => items as Value[]).flat();
  return what instanceof Tuple ? new Tuple(copies) : copies;
}

export function signed(sign: "-" | "+", value: Value): Value {
  if (value instanceof Undefined) value.fail();
  if (typeof value === "number") return sign === "-" ? -value : value;
  if (!isInt(value)) fail(`bad operand type for ${sign}: '${typeName(value)}'`);
  return sign === "-" ? -toBigInt(value) : toBigInt(value);
}

export function isEqual(left: Value, right: Value, depth = 0): boolean {
  const a = unmarked(left);
  const b = unmarked(right);
  if (depth > MAX_VALUE_DEPTH) fail("values are nested too deep to compare");
  if (a === b) return true;
  if (isNumber(a) && isNumber(b)) {
    return typeof a === "number" || typeof b === "number"
      ? // oxlint-disable-next-line eqeqeq -- an int and a float are compared exactly
        plain(a) == plain(b)
      : toBigInt(a) === toBigInt(b);
  }
  if (a instanceof Undefined) return b instanceof Undefined;
  if (Array.isArray(a)) return Array.isArray(b) && sameItems(a, b, depth);
  if (a instanceof Tuple) {
    return b instanceof Tuple && sameItems(a.items, b.items, depth);
  }
  if (a instanceof Dict && b instanceof Dict) {
    return (
      a.length() === b.length() &&
      a.entries().every(([key, value]) => {
        const other = b.get(key);
        return other !== undefined && isEqual(value, other, depth + 1);
      })
    );
  }
  if (a instanceof Range && b instanceof Range) {
    return sameItems(a.iterate(), b.iterate(), depth);
  }
  return false;
}

const plain = (value: Num): bigint | number =>
  typeof value === "boolean" ? BigInt(value) : value;

function sameItems(
  a: readonly Value[],
  b: readonly Value[],
  depth: number,
): boolean {
  return (
    a.length === b.length &&
    a.every((item, i) => isEqual(item, b[i] ?? null, depth + 1))
  );
}

/** Negative, 0 or positive; NaN if a NaN is among them. Fails for what Python does not order. */
export function order(
  first: Value,
  second: Value,
  sign = "<",
  depth = 0,
): number {
  const a = unmarked(first);
  const b = unmarked(second);
  if (depth > MAX_VALUE_DEPTH) fail("values are nested too deep to compare");
  if (a instanceof Undefined) a.fail();
  if (b instanceof Undefined) b.fail();
  if (isNumber(a) && isNumber(b)) {
    const [left, right] = [plain(a), plain(b)];
    if (left < right) return -1;
    return left > right ? 1 : isEqual(a, b) ? 0 : Number.NaN;
  }
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  const left = a instanceof Tuple && b instanceof Tuple ? a.items : a;
  const right = a instanceof Tuple && b instanceof Tuple ? b.items : b;
  if (!Array.isArray(left) || !Array.isArray(right)) {
    fail(
      `'${sign}' not supported between '${typeName(a)}' and '${typeName(b)}'`,
    );
  }
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const x = left[i] as Value;
    const y = right[i] as Value;
    if (!isEqual(x, y)) return order(x, y, sign, depth + 1);
  }
  return left.length - right.length;
}

export function compare(
  operator: string,
  left: Value,
  right: Value,
  budget: Budget,
): boolean {
  switch (operator) {
    case "==":
      return isEqual(left, right);
    case "!=":
      return !isEqual(left, right);
    case "in":
      return contains(right, left, budget);
    case "not in":
      return !contains(right, left, budget);
    case "<":
      return order(left, right, operator) < 0;
    case "<=":
      return order(left, right, operator) <= 0;
    case ">":
      return order(left, right, operator) > 0;
    default:
      return order(left, right, operator) >= 0;
  }
}

export function contains(
  collection: Value,
  wanted: Value,
  budget: Budget,
): boolean {
  const where = unmarked(collection);
  const what = unmarked(wanted);
  if (typeof where === "string") {
    if (typeof what !== "string") {
      fail(`'in <string>' requires a string, not '${typeName(what)}'`);
    }
    budget.chars(where.length);
    return where.includes(what);
  }
  if (where instanceof Dict) {
    if (!isHashable(what)) fail(`unhashable type: '${typeName(what)}'`);
    return where.get(what) !== undefined;
  }
  if (where instanceof DictView || Array.isArray(where) || isIterable(where)) {
    for (const item of itemsOf(where)) {
      budget.step();
      if (isEqual(item, what)) return true;
    }
    return false;
  }
  return fail(`'${typeName(where)}' has no items`);
}

export const isIterable = (value: Value): boolean =>
  typeof value === "string" ||
  Array.isArray(value) ||
  (typeof value === "object" &&
    value !== null &&
    value.iterate() !== undefined);

/** Fails for what has no items. */
export function itemsOf(value: Value): Iterable<Value> {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value;
  const items =
    typeof value === "object" && value !== null ? value.iterate() : undefined;
  return items ?? fail(`'${typeName(value)}' object is not iterable`);
}

export function listOf(value: Value, budget: Budget): Value[] {
  const items: Value[] = [];
  for (const item of itemsOf(value)) {
    items.push(item);
    if (items.length % 1024 === 0) budget.items(items.length);
  }
  budget.items(items.length);
  return items;
}

export function lengthOf(value: Value): number {
  if (typeof value === "string") return charCount(value);
  if (Array.isArray(value)) return value.length;
  const length =
    typeof value === "object" && value !== null ? value.length() : undefined;
  return length ?? fail(`object of type '${typeName(value)}' has no length`);
}
