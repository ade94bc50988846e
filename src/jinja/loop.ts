/** `loop` within a loop. It may be called where the loop is recursive. */
import { fail } from "./errors.ts";
import { isEqual } from "./operators.ts";
import { bind, REQUIRED } from "./signature.ts";
import {
  Callable,
  NativeFunction,
  Tuple,
  Undefined,
  type Arguments,
  type Value,
} from "./values.ts";

export class Loop extends Callable {
  override readonly typeName = "LoopContext";
  #items: readonly Value[];
  #depth: number;
  #index = -1;
  #last: Value | undefined;
  #again: ((items: Value) => string) | undefined;

  constructor(
    items: readonly Value[],
    depth: number,
    again: ((items: Value) => string) | undefined,
  ) {
    super();
    this.#items = items;
    this.#depth = depth;
    this.#again = again;
  }

  advance(): void {
    this.#index++;
  }

  override length(): number {
    return this.#items.length;
  }

  override repr(): string {
    return `<LoopContext ${this.#index + 1}/${this.#items.length}>`;
  }

  override call(given: Arguments): Value {
    const { items } = bind("loop", { items: REQUIRED }, given);
    if (this.#again === undefined) {
      fail("the loop is called within itself but is not recursive");
    }
    return this.#again(items);
  }

  override attribute(name: string): Value | undefined {
    const index = this.#index;
    const { length } = this.#items;
    switch (name) {
      case "index":
        return BigInt(index + 1);
      case "index0":
        return BigInt(index);
      case "revindex":
        return BigInt(length - index);
      case "revindex0":
        return BigInt(length - index - 1);
      case "first":
        return index === 0;
      case "last":
        return index === length - 1;
      case "length":
        return BigInt(length);
      case "depth":
        return BigInt(this.#depth + 1);
      case "depth0":
        return BigInt(this.#depth);
      case "previtem":
        return index > 0
          ? this.#items[index - 1]
          : new Undefined("there is no previous item");
      case "nextitem":
        return index < length - 1
          ? this.#items[index + 1]
          : new Undefined("there is no next item");
      case "cycle":
        return new NativeFunction(({ args }) =>
          args.length === 0
            ? fail("no items for cycling given")
            : (args[index % args.length] as Value),
        );
      case "changed":
        return new NativeFunction(({ args }) => this.#changed(args));
      default:
        return undefined;
    }
  }

  #changed(args: Value[]): boolean {
    const value = new Tuple(args);
    if (this.#last !== undefined && isEqual(this.#last, value)) return false;
    this.#last = value;
    return true;
  }
}
