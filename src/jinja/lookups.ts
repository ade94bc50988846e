/**
 * `x.name`, `x[key]` and `x[a:b:c]`, as in Jinja2's immutable sandbox. Only what is listed here is reached: methods by their names in a table,
 * and what a PyObject tells of itself. What Python's objects have and the sandbox refuses gives an undefined value, whose use fails.
 */
import type { Budget } from "./budget.ts";
import { charCount, charSlice, charsOf } from "./characters.ts";
import { fail } from "./errors.ts";
import { isEqual, listOf } from "./operators.ts";
import { quoted, reprOf } from "./printing.ts";
import { operation, type Operations, type Runtime } from "./runtime.ts";
import { REQUIRED } from "./signature.ts";
import { STRING_METHODS } from "./string-methods.ts";
import {
  Callable,
  Dict,
  DictView,
  type DictViewKind,
  elementOf,
  indexOf,
  isInt,
  Markup,
  orElse,
  PyObject,
  Range,
  toBigInt,
  Tuple,
  typeName,
  Undefined,
  type Arguments,
  type Value,
} from "./values.ts";

const SEQUENCE_METHODS: Operations = new Map([
  operation("count", { value: REQUIRED }, ({ budget }, list, { value }) => {
    const equal = listOf(list, budget).filter((item) => isEqual(item, value));
    return BigInt(equal.length);
  }),
  operation("index", { value: REQUIRED }, ({ budget }, list, { value }) => {
    const items = listOf(list, budget);
    const at = items.findIndex((item) => isEqual(item, value));
    return at < 0 ? fail("value is not in the list") : BigInt(at);
  }),
]);

const LIST_METHODS: Operations = new Map([
  ...SEQUENCE_METHODS,
  operation("copy", {}, ({ budget }, list) => listOf(list, budget)),
]);

const view = (
  name: string,
  kind: DictViewKind,
  pick: (entry: [Value, Value]) => Value,
) =>
  operation(name, {}, ({ budget }, dict) => {
    const entries = (dict as Dict).entries();
    budget.items(entries.length);
    return new DictView(kind, entries.map(pick));
  });

const DICT_METHODS: Operations = new Map([
  operation("copy", {}, ({ budget }, dict) => {
    budget.items((dict as Dict).length());
    return new Dict((dict as Dict).entries());
  }),
  operation(
    "fromkeys",
    { keys: REQUIRED, value: null },
    ({ budget }, _dict, { keys, value }) =>
      new Dict(listOf(keys, budget).map((key) => [key, value] as const)),
  ),
  operation("get", { key: REQUIRED, default: null }, (_runtime, dict, args) =>
    orElse((dict as Dict).get(args.key), () => args.default),
  ),
  view("items", "dict_items", (entry) => new Tuple(entry)),
  view("keys", "dict_keys", ([key]) => key),
  view("values", "dict_values", ([, value]) => value),
]);

const NUMBER_METHODS: Operations = new Map([
  operation("bit_length", {}, (_runtime, value) =>
    isInt(value)
      ? BigInt(value ? toBigInt(value).toString(2).replace("-", "").length : 0)
      : fail("a float has no bit_length"),
  ),
  operation("is_integer", {}, (_runtime, value) =>
    Number.isInteger(Number(value)),
  ),
]);

const NONE: Operations = new Map();
const METHODS: ReadonlyMap<string, Operations> = new Map([
  ["str", STRING_METHODS],
  ["list", LIST_METHODS],
  ["tuple", SEQUENCE_METHODS],
  ["range", SEQUENCE_METHODS],
  ["dict", DICT_METHODS],
  [
    "int",
    new Map([...NUMBER_METHODS].filter(([name]) => name === "bit_length")),
  ],
  ["bool", NUMBER_METHODS],
  [
    "float",
    new Map([...NUMBER_METHODS].filter(([name]) => name === "is_integer")),
  ],
]);

/** Methods that change their value: the sandbox refuses them. */
const CHANGING: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  [
    "list",
    new Set("append clear extend insert pop remove reverse sort".split(" ")),
  ],
  ["dict", new Set("clear pop popitem setdefault update".split(" "))],
]);

/** What every object of Python has: `__class__` leads to the whole interpreter. */
const INTERNAL = new Set(
  "class delattr dict dir doc eq format ge getattribute getstate gt hash init init_subclass le lt module ne new reduce reduce_ex repr setattr sizeof str subclasshook len iter getitem contains add mul mod call name qualname globals code self func".split(
    " ",
  ),
);
const isInternal = (name: string): boolean =>
  name.startsWith("__") &&
  name.endsWith("__") &&
  INTERNAL.has(name.slice(2, -2));

class BoundMethod extends Callable {
  override readonly typeName = "builtin_function_or_method";
  #run: (given: Arguments) => Value;
  constructor(run: (given: Arguments) => Value) {
    super();
    this.#run = run;
  }
  override call(given: Arguments): Value {
    return this.#run(given);
  }
}

/** A method of its text, whose texts are marked too. */
function markedMethod(
  runtime: Runtime,
  { text }: Markup,
  name: string,
): Value | undefined {
  const method = ownAttribute(runtime, text, name);
  if (!(method instanceof BoundMethod)) return method;
  return new BoundMethod((given) => marked(method.call(given)));
}

function marked(value: Value): Value {
  if (typeof value === "string") return new Markup(value);
  if (Array.isArray(value)) return value.map(marked);
  return value instanceof Tuple ? new Tuple(value.items.map(marked)) : value;
}

/** An attribute that is no item. */
function ownAttribute(
  runtime: Runtime,
  of: Value,
  name: string,
): Value | undefined {
  const type = typeName(of);
  if (of instanceof Markup) return markedMethod(runtime, of, name);
  const method = (METHODS.get(type) ?? NONE).get(name);
  if (method !== undefined) {
    return new BoundMethod((given) => {
      if (type !== "str" && given.named.size > 0) {
        fail(`${type}.${name}() takes no keyword arguments`);
      }
      return method(runtime, of, given);
    });
  }
  if (CHANGING.get(type)?.has(name) === true || isInternal(name)) {
    return new Undefined(
      `access to attribute '${name}' of '${type}' object is unsafe`,
    );
  }
  if (of instanceof PyObject) return of.attribute(name);
  if (name === "real" && (isInt(of) || typeof of === "number")) return of;
  return undefined;
}

export function hasAttribute(
  runtime: Runtime,
  of: Value,
  name: string,
): boolean {
  return ownAttribute(runtime, of, name) !== undefined;
}

export function attributeOf(runtime: Runtime, of: Value, name: string): Value {
  if (of instanceof Undefined) of.fail();
  const own = ownAttribute(runtime, of, name);
  const found = own === undefined ? itemOf(of, name) : own;
  return orElse(found, () => missing(of, name));
}

export function subscriptOf(runtime: Runtime, of: Value, key: Value): Value {
  if (of instanceof Undefined) of.fail();
  const item = itemOf(of, key);
  const isName = item === undefined && typeof key === "string";
  const found = isName ? ownAttribute(runtime, of, key) : item;
  return orElse(found, () => missing(of, key));
}

const missing = (of: Value, key: Value): Undefined =>
  typeof key === "string"
    ? new Undefined(`${quoted(objectName(of))} has no attribute ${quoted(key)}`)
    : new Undefined(`${objectName(of)} has no element ${shown(key)}`);

/** A key that may hold a message's words is not shown. */
const shown = (key: Value): string =>
  isInt(key) ? reprOf(key) : `of type ${typeName(key)}`;

const objectName = (of: Value): string =>
  of === null ? "None" : `${typeName(of)} object`;

function itemOf(of: Value, key: Value): Value | undefined {
  if (of instanceof Markup) {
    const char = itemOf(of.text, key);
    return char === undefined ? undefined : marked(char);
  }
  if (typeof of === "string") {
    const index = indexOf(key, charCount(of));
    return index === undefined ? undefined : charSlice(of, index, index + 1);
  }
  if (Array.isArray(of)) return elementOf(of, key);
  return of instanceof PyObject ? of.item(key) : undefined;
}

export type Bounds = readonly [
  start: Value | undefined,
  stop: Value | undefined,
  step: Value | undefined,
];

export function sliceOf(of: Value, bounds: Bounds, budget: Budget): Value {
  if (of instanceof Markup) return marked(sliceOf(of.text, bounds, budget));
  if (of instanceof Undefined) of.fail();
  const [start, stop, step] = bounds.map(boundOf);
  const by = step ?? 1;
  if (by === 0) fail("slice step cannot be zero");
  const source = typeof of === "string" ? charsIfNeeded(of, by) : of;
  const items = source instanceof Tuple ? source.items : source;
  if (typeof items === "string") {
    budget.chars(items.length);
    const length = charCount(items);
    const [from, to] = span(start, stop, by, length);
    return from < to ? charSlice(items, from, to) : "";
  }
  const list = items instanceof Range ? items.iterate() : items;
  if (!Array.isArray(list)) fail(`'${typeName(of)}' object has no slices`);
  const picked = pick(list as Value[], start, stop, by);
  budget.items(picked.length);
  if (typeof of === "string") return (picked as string[]).join("");
  if (of instanceof Tuple) return new Tuple(picked);
  return of instanceof Range ? rangeSlice(of, start, stop, by) : picked;
}

const charsIfNeeded = (text: string, step: number): string | string[] =>
  step === 1 ? text : charsOf(text);

function boundOf(value: Value | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (isInt(value)) return Number(value);
  return fail("slice indices must be integers or None");
}

/** Python's `slice.indices`: the first position, and the one before which it ends. */
function span(
  start: number | undefined,
  stop: number | undefined,
  step: number,
  length: number,
): [number, number] {
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const place = (value: number | undefined, otherwise: number): number => {
    if (value === undefined) return otherwise;
    const index = value < 0 ? value + length : value;
    return Math.min(Math.max(index, low), high);
  };
  return step > 0
    ? [place(start, low), place(stop, high)]
    : [place(start, high), place(stop, low)];
}

function pick(
  list: readonly Value[],
  start: number | undefined,
  stop: number | undefined,
  step: number,
): Value[] {
  const [from, to] = span(start, stop, step, list.length);
  if (step === 1) return from < to ? list.slice(from, to) : [];
  const picked: Value[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) {
    picked.push(list[i] as Value);
  }
  return picked;
}

function rangeSlice(
  range: Range,
  start: number | undefined,
  stop: number | undefined,
  step: number,
): Range {
  const [from, to] = span(start, stop, step, range.length());
  const at = (index: number): number => range.start + index * range.step;
  return new Range(at(from), at(to), range.step * step);
}
