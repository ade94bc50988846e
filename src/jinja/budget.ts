/**
 * What one rendering may use. A template comes with a model's file from strangers: without bounds three lines of it fill the memory or
 * never end. Who renders also sets a watchdog on the time.
 */
import { fail } from "./errors.ts";

/** Characters of any one text. Twice the gateway's largest request body: a template adds to each message but does not multiply it. */
export const MAX_TEXT_CHARS = 8 * 1024 * 1024;
/** Items of any one list: as many as Jinja2's own range() may have in a sandbox. */
export const MAX_LIST_ITEMS = 100_000;
/** Expressions and statements run. The largest real conversations (2,048 messages) take under a million. */
export const MAX_STEPS = 10_000_000;
/** Characters read and written by all text operations together: 32 times the longest text. */
export const MAX_WORKED_CHARS = 32 * MAX_TEXT_CHARS;
/** Macros and recursive loops within each other. Python itself ends at about 200. */
export const MAX_CALL_DEPTH = 150;
/** Lists within lists when they are printed, compared or made JSON. */
export const MAX_VALUE_DEPTH = 200;

export class Budget {
  #steps = 0;
  #chars = 0;
  #depth = 0;

  step(count = 1): void {
    this.#steps += count;
    if (this.#steps > MAX_STEPS) fail(`it takes more than ${MAX_STEPS} steps`);
  }

  /** Told before a text operation of this size. */
  chars(count: number): void {
    boundText(count);
    this.#chars += count;
    if (this.#chars > MAX_WORKED_CHARS) {
      fail(`it handles more than ${MAX_WORKED_CHARS} characters`);
    }
  }

  /** Told before a list of this size is made. */
  items(count: number): void {
    if (count > MAX_LIST_ITEMS) {
      fail(`it makes a list of more than ${MAX_LIST_ITEMS} items`);
    }
    this.step(count);
  }

  nested<T>(work: () => T): T {
    if (this.#depth >= MAX_CALL_DEPTH) {
      fail(`it calls itself more than ${MAX_CALL_DEPTH} deep`);
    }
    this.#depth++;
    try {
      return work();
    } finally {
      this.#depth--;
    }
  }
}

export function boundText(chars: number): void {
  if (chars > MAX_TEXT_CHARS) {
    fail(`it makes a text of more than ${MAX_TEXT_CHARS} characters`);
  }
}

/** A text under way, of a bounded length. */
export class Sink {
  #parts: string[] = [];
  #length = 0;

  write(text: string): void {
    this.#length += text.length;
    boundText(this.#length);
    this.#parts.push(text);
  }

  get text(): string {
    return this.#parts.join("");
  }
}
