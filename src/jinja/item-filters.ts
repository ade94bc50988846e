/** Filters that take another filter, a test or an attribute for each item. */
import { fail } from "./errors.ts";
import { itemsOf } from "./operators.ts";
import {
  textArgument,
  type Operation,
  type Operations,
  type Runtime,
} from "./runtime.ts";
import {
  Generator,
  isTrue,
  Undefined,
  type Arguments,
  type Value,
} from "./values.ts";

export type Key = (item: Value) => Value;

/** `attribute="a.b.0"`: from an item to the value there, which `default` replaces where it is undefined. */
export function getter(
  runtime: Runtime,
  attribute: Value,
  otherwise: Value = null,
): Key {
  const parts = partsOf(attribute);
  return (item) =>
    parts.reduce((value: Value, part) => {
      runtime.budget.step();
      const found = runtime.item(value, part);
      return otherwise !== null && found instanceof Undefined
        ? otherwise
        : found;
    }, item);
}

function partsOf(attribute: Value): Value[] {
  if (attribute === null) return [];
  if (typeof attribute !== "string") return [attribute];
  return attribute
    .split(".")
    .map((part) => (/^\d+$/.test(part) ? BigInt(part) : part));
}

/** Items that a test, or else their truth, keeps. */
function choosing(
  name: string,
  ofAttribute: boolean,
  wanted: boolean,
): [string, Operation] {
  return [
    name,
    (runtime, value, given) =>
      new Generator(chosen(runtime, value, given, ofAttribute, wanted)),
  ];
}

function* chosen(
  runtime: Runtime,
  value: Value,
  { args, named }: Arguments,
  ofAttribute: boolean,
  wanted: boolean,
): Iterable<Value> {
  if (!isTrue(value)) return;
  const [attribute = null, ...others] = ofAttribute ? args : [null, ...args];
  if (ofAttribute && args.length === 0) fail("an attribute's name is missing");
  const get = getter(runtime, attribute);
  const [test, ...rest] = others;
  for (const item of itemsOf(value)) {
    runtime.budget.step();
    const what = get(item);
    const isKept =
      test === undefined
        ? isTrue(what)
        : runtime.test(textArgument(test, "test"), what, { args: rest, named });
    if (isKept === wanted) yield item;
  }
}

function* mapped(
  runtime: Runtime,
  value: Value,
  { args, named }: Arguments,
): Iterable<Value> {
  if (!isTrue(value)) return;
  const change = mapping(runtime, args, named);
  for (const item of itemsOf(value)) {
    runtime.budget.step();
    yield change(item);
  }
}

function mapping(
  runtime: Runtime,
  [filter, ...args]: Value[],
  named: Map<string, Value>,
): Key {
  const attribute = named.get("attribute");
  if (filter === undefined && attribute !== undefined) {
    const others = [...named.keys()].filter(
      (key) => key !== "attribute" && key !== "default",
    );
    if (others.length > 0) fail(`map() has no parameter '${others[0]}'`);
    return getter(runtime, attribute, named.get("default"));
  }
  if (filter === undefined) fail("map needs a filter or an attribute");
  const name = textArgument(filter, "filter");
  return (item) => runtime.filter(name, item, { args, named });
}

export const ITEM_FILTERS: Operations = new Map([
  [
    "map",
    (runtime, value, given) => new Generator(mapped(runtime, value, given)),
  ],
  choosing("reject", false, false),
  choosing("rejectattr", true, false),
  choosing("select", false, true),
  choosing("selectattr", true, true),
]);
