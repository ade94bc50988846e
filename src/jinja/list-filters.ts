/** Filters of lists, dicts and their items. */
import { charsOf } from "./characters.ts";
import { fail } from "./errors.ts";
import { hasAttribute } from "./lookups.ts";
import {
  arithmetic,
  isEqual,
  itemsOf,
  lengthOf,
  listOf,
  order,
} from "./operators.ts";
import { textOf } from "./printing.ts";
import {
  intArgument,
  operation,
  textArgument,
  type Operation,
  type Operations,
  type Runtime,
} from "./runtime.ts";
import { getter, ITEM_FILTERS, type Key } from "./item-filters.ts";
import { REQUIRED } from "./signature.ts";
import {
  Dict,
  Generator,
  Group,
  isTrue,
  orElse,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

const ignoringCase = (value: Value): Value =>
  typeof value === "string" ? value.toLowerCase() : value;

const keyOf =
  (get: Key, isCaseSensitive: Value): Key =>
  (item) =>
    isTrue(isCaseSensitive) ? get(item) : ignoringCase(get(item));

/** Stable, as Python's. */
function sorted(
  items: Value[],
  key: Key,
  isReverse: boolean,
  { budget }: Runtime,
): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  const factor = isReverse ? -1 : 1;
  keyed.sort((a, b) => {
    budget.step();
    return factor * order(a.key, b.key);
  });
  return keyed.map(({ item }) => item);
}

function extreme(name: "min" | "max"): [string, Operation] {
  return operation(
    name,
    { case_sensitive: false, attribute: null },
    (runtime, value, args) => {
      const key = keyOf(getter(runtime, args.attribute), args.case_sensitive);
      const [first, ...rest] = listOf(value, runtime.budget);
      if (first === undefined) return emptySequence("aggregated");
      const sign = name === "min" ? 1 : -1;
      return rest.reduce(
        (best: Value, item) =>
          sign * order(key(item), key(best)) < 0 ? item : best,
        first,
      );
    },
  );
}

const emptySequence = (what: string): Undefined =>
  new Undefined(`there is no ${what} item, the sequence was empty`);

function groups(
  runtime: Runtime,
  value: Value,
  args: { attribute: Value; default: Value; case_sensitive: Value },
): Value[] {
  const get = getter(runtime, args.attribute, args.default);
  const key = keyOf(get, args.case_sensitive);
  const items = sorted(listOf(value, runtime.budget), key, false, runtime);
  const lists: Value[][] = [];
  for (const item of items) {
    const last = lists.at(-1);
    const first = last?.[0];
    if (
      last !== undefined &&
      first !== undefined &&
      isEqual(key(first), key(item))
    ) {
      last.push(item);
    } else lists.push([item]);
  }
  return lists.map((list) => {
    const [first = null] = list;
    return new Group([get(first), list]);
  });
}

function* unique(runtime: Runtime, value: Value, key: Key): Iterable<Value> {
  const seen = new Dict();
  for (const item of itemsOf(value)) {
    runtime.budget.step();
    const what = key(item);
    if (seen.get(what) !== undefined) continue;
    seen.set(what, true);
    yield item;
  }
}

function* batches(
  { budget }: Runtime,
  value: Value,
  size: number,
  fill: Value,
): Iterable<Value> {
  let batch: Value[] = [];
  for (const item of itemsOf(value)) {
    budget.step();
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
    batch.push(item);
  }
  if (batch.length === 0) return;
  if (fill !== null && batch.length < size) {
    budget.items(size);
    while (batch.length < size) batch.push(fill);
  }
  yield batch;
}

function* slices(
  { budget }: Runtime,
  value: Value,
  count: number,
  fill: Value,
): Iterable<Value> {
  if (count <= 0) fail("slice needs a number of slices");
  budget.items(count);
  const items = listOf(value, budget);
  const size = Math.floor(items.length / count);
  const longer = items.length % count;
  let start = 0;
  for (let i = 0; i < count; i++) {
    const end = start + size + (i < longer ? 1 : 0);
    const slice = items.slice(start, end);
    start = end;
    if (fill !== null && i >= longer) slice.push(fill);
    yield slice;
  }
}

function dictEntries(value: Value): [Value, Value][] {
  if (value instanceof Undefined) value.fail();
  return value instanceof Dict
    ? value.entries()
    : fail(`'${typeName(value)}' object has no items`);
}

function* dictPairs(value: Value, { budget }: Runtime): Iterable<Value> {
  if (value instanceof Undefined) return;
  for (const entry of dictEntries(value)) {
    budget.step();
    yield new Tuple(entry);
  }
}

const DEFAULT = { default_value: "", boolean: false } as const;
const byDefault: Operation = operation(
  "default",
  DEFAULT,
  (_runtime, value, args) =>
    value instanceof Undefined || (isTrue(args.boolean) && !isTrue(value))
      ? args.default_value
      : value,
)[1];
const length: Operation = operation("length", {}, (_runtime, value) =>
  BigInt(lengthOf(value)),
)[1];

export const LIST_FILTERS: Operations = new Map([
  ...ITEM_FILTERS,
  operation("attr", { name: REQUIRED }, (runtime, value, { name }) => {
    const text = textArgument(name, "attribute name");
    if (value instanceof Undefined) value.fail();
    return hasAttribute(runtime, value, text)
      ? runtime.attribute(value, text)
      : new Undefined(`'${typeName(value)}' object has no attribute '${text}'`);
  }),
  operation(
    "batch",
    { linecount: REQUIRED, fill_with: null },
    (runtime, value, args) => {
      const size = intArgument(args.linecount, "linecount");
      return new Generator(batches(runtime, value, size, args.fill_with));
    },
  ),
  ["count", length],
  ["d", byDefault],
  ["default", byDefault],
  operation(
    "dictsort",
    { case_sensitive: false, by: "key", reverse: false },
    (runtime, value, args) => {
      if (args.by !== "key" && args.by !== "value") {
        fail("a dict is sorted by key or value");
      }
      const part = args.by === "key" ? 0n : 1n;
      const key = keyOf(
        (item) => runtime.item(item, part),
        args.case_sensitive,
      );
      const entries = dictEntries(value).map((entry) => new Tuple(entry));
      runtime.budget.items(entries.length);
      return sorted(entries, key, isTrue(args.reverse), runtime);
    },
  ),
  operation("first", {}, (_runtime, value) => {
    for (const item of itemsOf(value)) return item;
    return emptySequence("first");
  }),
  operation(
    "groupby",
    { attribute: REQUIRED, default: null, case_sensitive: false },
    groups,
  ),
  operation(
    "items",
    {},
    (runtime, value) => new Generator(dictPairs(value, runtime)),
  ),
  operation("join", { d: "", attribute: null }, (runtime, value, args) => {
    const get = getter(runtime, args.attribute);
    const parts = listOf(value, runtime.budget).map((item) =>
      textOf(get(item)),
    );
    const joint = textOf(args.d);
    const joints = joint.length * Math.max(0, parts.length - 1);
    runtime.budget.chars(
      parts.reduce((sum, part) => sum + part.length, joints),
    );
    return parts.join(joint);
  }),
  operation("last", {}, (runtime, value) => {
    if (value instanceof Generator) fail("a generator has no last item");
    const last = listOf(value, runtime.budget).at(-1);
    return orElse(last, () => emptySequence("last"));
  }),
  ["length", length],
  operation("list", {}, ({ budget }, value) => listOf(value, budget)),
  extreme("max"),
  extreme("min"),
  operation("random", {}, (runtime, value) => {
    const items = listOf(value, runtime.budget);
    const picked = items[Math.floor(runtime.random() * items.length)];
    return orElse(picked, () => emptySequence("random"));
  }),
  operation("reverse", {}, (runtime, value) => {
    if (typeof value === "string") return charsOf(value).reverse().join("");
    const items = listOf(value, runtime.budget).reverse();
    return value instanceof Generator ? items : new Generator(items);
  }),
  operation(
    "slice",
    { slices: REQUIRED, fill_with: null },
    (runtime, value, args) => {
      const count = intArgument(args.slices, "slices");
      return new Generator(slices(runtime, value, count, args.fill_with));
    },
  ),
  operation(
    "sort",
    { reverse: false, case_sensitive: false, attribute: null },
    (runtime, value, args) => {
      const attributes =
        typeof args.attribute === "string"
          ? args.attribute.split(",")
          : [args.attribute];
      const keys = attributes.map((attribute) =>
        keyOf(getter(runtime, attribute), args.case_sensitive),
      );
      const items = listOf(value, runtime.budget);
      const key: Key = (item) => keys.map((one) => one(item));
      return sorted(items, key, isTrue(args.reverse), runtime);
    },
  ),
  operation("sum", { attribute: null, start: 0n }, (runtime, value, args) => {
    const get = getter(runtime, args.attribute);
    let sum = args.start;
    if (typeof sum === "string") fail("sum() can't sum strings");
    for (const item of itemsOf(value)) {
      sum = arithmetic("+", sum, get(item), runtime.budget);
    }
    return sum;
  }),
  operation(
    "unique",
    { case_sensitive: false, attribute: null },
    (runtime, value, args) => {
      const key = keyOf(getter(runtime, args.attribute), args.case_sensitive);
      return new Generator(unique(runtime, value, key));
    },
  ),
]);
