/** The functions that each template has. */
import { MAX_LIST_ITEMS } from "./budget.ts";
import { fail, TemplateRefusal } from "./errors.ts";
import { itemsOf, listOf } from "./operators.ts";
import { textOf } from "./printing.ts";
import { intArgument, textArgument, type Runtime } from "./runtime.ts";
import { bind, REQUIRED } from "./signature.ts";
import { strftime } from "./strftime.ts";
import {
  Dict,
  Namespace,
  NativeFunction,
  PyObject,
  Range,
  type Arguments,
  type Value,
} from "./values.ts";

export function globals(runtime: Runtime): Map<string, Value> {
  const functions: Record<string, (given: Arguments) => Value> = {
    range,
    dict: (given) => new Dict(fields(given, runtime)),
    namespace: (given) =>
      new Namespace(
        fields(given, runtime).map(([key, value]) => [
          textArgument(key, "a name"),
          value,
        ]),
      ),
    cycler: ({ args }) => new Cycler(args),
    joiner: (given) => joiner(bind("joiner", { sep: ", " }, given).sep),
    raise_exception(given) {
      const { message } = bind("raise_exception", { message: REQUIRED }, given);
      throw new TemplateRefusal(textOf(message));
    },
    strftime_now(given) {
      const { format } = bind("strftime_now", { format: REQUIRED }, given);
      return strftime(runtime.now, textArgument(format, "format"));
    },
  };
  return new Map(
    Object.entries(functions).map(([name, run]) => [
      name,
      new NativeFunction(run),
    ]),
  );
}

function range({ args, named }: Arguments): Range {
  if (named.size > 0 || args.length < 1 || args.length > 3) {
    fail("range() takes one to three arguments");
  }
  const [first = 0, second, third = 1] = args.map((arg) =>
    intArgument(arg, "range"),
  );
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (third === 0) fail("range() arg 3 must not be zero");
  const made = new Range(start, stop, third);
  if (made.length() > MAX_LIST_ITEMS) {
    fail(`range() of more than ${MAX_LIST_ITEMS} items`);
  }
  return made;
}

/** `dict(other, name=value)` */
function fields(
  { args, named }: Arguments,
  runtime: Runtime,
): [Value, Value][] {
  const [source, ...more] = args;
  if (more.length > 0) fail("dict() takes at most one argument by position");
  const entries =
    source === undefined
      ? []
      : source instanceof Dict
        ? source.entries()
        : listOf(source, runtime.budget).map(pairOf);
  return [...entries, ...named];
}

function pairOf(pair: Value): [Value, Value] {
  const [key, value, ...more] = itemsOf(pair);
  if (key === undefined || value === undefined || more.length > 0) {
    fail("dict() takes pairs");
  }
  return [key, value];
}

class Cycler extends PyObject {
  readonly typeName = "Cycler";
  #items: readonly Value[];
  #at = 0;

  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) fail("at least one item has to be provided");
    this.#items = items;
  }

  override attribute(name: string): Value | undefined {
    const current = this.#items[this.#at] as Value;
    if (name === "current") return current;
    const next =
      name === "next"
        ? (this.#at + 1) % this.#items.length
        : name === "reset"
          ? 0
          : undefined;
    if (next === undefined) return undefined;
    return new NativeFunction(() => {
      this.#at = next;
      return name === "next" ? current : null;
    });
  }
}

/** Gives nothing when first called, and then the separator. */
function joiner(sep: Value): NativeFunction {
  let isUsed = false;
  return new NativeFunction(() => {
    const text = isUsed ? sep : "";
    isUsed = true;
    return text;
  });
}
