/**
 * Python's values as a template sees them. An int is a bigint and a float a number, so that 1 and 1.0 stay apart; None is null, a list an
 * array. All else is a PyObject, and what it lets a template reach is only what its class says: no JavaScript property is ever looked up
 * by a name of the template.
 */
import { charCount } from "./characters.ts";
import { fail, JinjaError } from "./errors.ts";

export type Value =
  null | boolean | bigint | number | string | Value[] | PyObject;

export abstract class PyObject {
  /** As Python's `type(x).__name__`. */
  abstract readonly typeName: string;
  /** `len(x)`; undefined: it has none. */
  length(): number | undefined {
    return undefined;
  }
  isTrue(): boolean {
    return this.length() !== 0;
  }
  iterate(): Iterable<Value> | undefined {
    return undefined;
  }
  /** `x[key]`; undefined: there is no such item. */
  item(_key: Value): Value | undefined {
    return undefined;
  }
  /** An attribute that is no method; undefined: there is no such attribute. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }
  repr(): string {
    return `<${this.typeName} object>`;
  }
}

/** Jinja's undefined: prints nothing, has no items, and any other use of it is an error with this message. */
export class Undefined extends PyObject {
  readonly typeName = "Undefined";
  readonly message: string;
  constructor(message: string) {
    super();
    this.message = message;
  }
  override length(): number {
    return 0;
  }
  override iterate(): Iterable<Value> {
    return [];
  }
  override repr(): string {
    return "Undefined";
  }
  fail(): never {
    throw new JinjaError(this.message);
  }
}

export class Tuple extends PyObject {
  readonly typeName: string = "tuple";
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    super();
    this.items = items;
  }
  override length(): number {
    return this.items.length;
  }
  override iterate(): Iterable<Value> {
    return this.items;
  }
  override item(key: Value): Value | undefined {
    return elementOf(this.items, key);
  }
}

/** A text that `safe` or `e` marked as escaped: joined with another by "+", that one is escaped too. All else takes it as its text. */
export class Markup extends PyObject {
  readonly typeName = "Markup";
  readonly text: string;
  constructor(text: string) {
    super();
    this.text = text;
  }
  override length(): number {
    return charCount(this.text);
  }
  override iterate(): Iterable<Value> {
    return this.text;
  }
}

export const unmarked = (value: Value): Value =>
  value instanceof Markup ? value.text : value;

/** One group of `groupby`: a tuple whose items have names. */
export class Group extends Tuple {
  override attribute(name: string): Value | undefined {
    if (name === "grouper") return this.items[0];
    return name === "list" ? this.items[1] : undefined;
  }
}

export class Dict extends PyObject {
  readonly typeName = "dict";
  #entries = new Map<unknown, [Value, Value]>();
  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    super();
    for (const [key, value] of entries) this.set(key, value);
  }
  /** Only while it is made: templates cannot change a dict. */
  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    const known = this.#entries.get(hash);
    if (known === undefined) this.#entries.set(hash, [key, value]);
    else known[1] = value;
  }
  get(key: Value): Value | undefined {
    return this.#entries.get(hashOf(key))?.[1];
  }
  override length(): number {
    return this.#entries.size;
  }
  entries(): [Value, Value][] {
    return [...this.#entries.values()];
  }
  override iterate(): Iterable<Value> {
    return this.entries().map(([key]) => key);
  }
  override item(key: Value): Value | undefined {
    return isHashable(key) ? this.get(key) : undefined;
  }
}

export type DictViewKind = "dict_keys" | "dict_values" | "dict_items";

/** `keys()`, `values()`, `items()` of a dict. */
export class DictView extends PyObject {
  readonly typeName: DictViewKind;
  readonly items: readonly Value[];
  constructor(kind: DictViewKind, items: Value[]) {
    super();
    this.typeName = kind;
    this.items = items;
  }
  override length(): number {
    return this.items.length;
  }
  override iterate(): Iterable<Value> {
    return this.items;
  }
}

export class Range extends PyObject {
  readonly typeName = "range";
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  constructor(start: number, stop: number, step: number) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
  }
  override length(): number {
    return Math.max(0, Math.ceil((this.stop - this.start) / this.step));
  }
  override iterate(): Value[] {
    return Array.from({ length: this.length() }, (_, i) => this.at(i));
  }
  at(index: number): bigint {
    return BigInt(this.start + index * this.step);
  }
  override item(key: Value): Value | undefined {
    const index = indexOf(key, this.length());
    return index === undefined ? undefined : this.at(index);
  }
  override repr(): string {
    const step = this.step === 1 ? "" : `, ${this.step}`;
    return `range(${this.start}, ${this.stop}${step})`;
  }
}

/** What gives its items once: the result of `map`, `select` and their like. */
export class Generator extends PyObject {
  readonly typeName = "generator";
  #iterator: Iterator<Value>;
  constructor(items: Iterable<Value>) {
    super();
    this.#iterator = items[Symbol.iterator]();
  }
  override iterate(): Iterable<Value> {
    const iterator = this.#iterator;
    return { [Symbol.iterator]: () => ({ next: () => iterator.next() }) };
  }
}

export class Namespace extends PyObject {
  readonly typeName = "Namespace";
  readonly fields: Map<string, Value>;
  constructor(fields: Iterable<readonly [string, Value]>) {
    super();
    this.fields = new Map(fields);
  }
  override attribute(name: string): Value | undefined {
    return this.fields.get(name);
  }
}

export interface Arguments {
  args: Value[];
  named: Map<string, Value>;
}

export abstract class Callable extends PyObject {
  readonly typeName: string = "function";
  abstract call(given: Arguments): Value;
}

export class NativeFunction extends Callable {
  #run: (given: Arguments) => Value;
  constructor(run: (given: Arguments) => Value) {
    super();
    this.#run = run;
  }
  override call(given: Arguments): Value {
    return this.#run(given);
  }
}

export const isInt = (value: Value): value is bigint | boolean =>
  typeof value === "bigint" || typeof value === "boolean";

export const isNumber = (value: Value): value is bigint | boolean | number =>
  isInt(value) || typeof value === "number";

export const toBigInt = (value: bigint | boolean): bigint => BigInt(value);

export function isTrue(value: Value): boolean {
  if (value instanceof PyObject) return value.isTrue();
  if (Array.isArray(value)) return value.length > 0;
  return Boolean(value);
}

export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (value instanceof PyObject) return value.typeName;
  if (Array.isArray(value)) return "list";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "float";
    default:
      return "str";
  }
}

export function isHashable(value: Value): boolean {
  if (value instanceof Tuple) return value.items.every(isHashable);
  if (value instanceof DictView) return value.typeName === "dict_values";
  return !Array.isArray(value) && !(value instanceof Dict);
}

/** What is the same for values that are equal as keys: 1, 1.0 and True are one key. */
function hashOf(key: Value): unknown {
  if (!isHashable(key)) fail(`unhashable type: '${typeName(key)}'`);
  if (typeof key === "boolean") return BigInt(key);
  if (typeof key === "number" && Number.isInteger(key)) return BigInt(key);
  if (typeof key === "string") return key.startsWith("\0") ? `\0${key}` : key;
  if (key instanceof Undefined) return Undefined;
  if (key instanceof Markup) return hashOf(key.text);
  if (!(key instanceof Tuple)) return key;
  const parts = key.items.map(
    (item) => `${typeof hashOf(item)}:${String(hashOf(item))}`,
  );
  return `\0(${JSON.stringify(parts)}`;
}

/** A position from the front, for one that may count from the end. */
export function indexOf(key: Value, length: number): number | undefined {
  if (!isInt(key)) return undefined;
  const index = Number(key);
  const place = index < 0 ? index + length : index;
  return place >= 0 && place < length ? place : undefined;
}

export function elementOf(
  items: readonly Value[],
  key: Value,
): Value | undefined {
  const index = indexOf(key, items.length);
  return index === undefined ? undefined : items[index];
}

/** `??`, which would take None, a null, for absent. */
export function orElse(
  value: Value | undefined,
  otherwise: () => Value,
): Value {
  return value === undefined ? otherwise() : value;
}
