import type { Reading, Reads } from "../reading.ts";
import { beginsThinking, readThoughts } from "../reasoning.ts";
import { openers, type CallFormat, type Marks } from "./format.ts";
import type { MarkedForm } from "./form.ts";
import { readCalls } from "./read-calls.ts";
import type { CallScope } from "./scope.ts";

/** Reads thoughts, content and calls. What begins like a call but is none is given as it is written. */
export function* readReply(
  reading: Reading,
  { reasoning, wrapper, format }: MarkedForm,
  scope: CallScope,
): Reads {
  const callMarks = format === undefined ? [] : openers(format);
  if (reasoning !== undefined && (yield* beginsThinking(reading, reasoning))) {
    const next = (): Reads<string | undefined> =>
      readThoughts(reading, reasoning.marks, callMarks);
    let mark = yield* next();
    while (mark !== undefined && !(yield* readCalls(reading, format, scope))) {
      yield* writeMark(reading, "reasoning", mark);
      mark = yield* next();
    }
  }
  if (format?.isBare === true && (yield* readCalls(reading, format, scope))) {
    yield* reading.space();
  }
  yield* readContent(reading, wrapper, format, callMarks, scope);
}

function* readContent(
  reading: Reading,
  wrapper: Marks | undefined,
  format: CallFormat | undefined,
  callMarks: readonly string[],
  scope: CallScope,
): Reads {
  const isWrapped =
    wrapper !== undefined && (yield* reading.acceptNext(wrapper.open));
  const close = isWrapped ? [wrapper.close] : [];
  const ends = [...callMarks, ...close];
  const write = (text: string): void =>
    reading.write({ kind: "content", text });
  while (true) {
    const trim = ends.length > 0;
    const mark = yield* reading.until(ends, write, { trim });
    if (mark === undefined) return;
    if (close.includes(mark)) {
      yield* reading.acceptNext(mark);
      yield* reading.space();
    } else if (yield* readCalls(reading, format, scope)) {
      yield* reading.space();
    } else yield* writeMark(reading, "content", mark);
  }
}

/** The mark, and the white space before it, was none. */
function* writeMark(
  reading: Reading,
  kind: "content" | "reasoning",
  mark: string,
): Reads {
  const space = yield* reading.space();
  // ` functools` begins with white space itself.
  const rest = space === "" ? mark : mark.trimStart();
  reading.write({ kind, text: space + reading.take(rest.length) });
}
