import type { Reading, Reads } from "../reading.ts";
import type { NamedBody } from "./format.ts";
import { readArguments } from "./read-arguments.ts";
import type { CallScope } from "./scope.ts";

const MAX_ID_CHARS = 64;

export function* readNamed(
  reading: Reading,
  body: NamedBody,
  scope: CallScope,
  ends: readonly string[],
): Reads<boolean> {
  const { beforeName = "", isNumbered = false, afterArguments = "" } = body;
  const isBefore = yield* reading.accept(beforeName);
  // Kimi's models leave "functions." out at times.
  if (!isBefore && !isNumbered) return false;
  const name = yield* reading.acceptOne(scope.names);
  if (name === undefined) return false;
  let id: string | undefined;
  if (isNumbered) {
    const number = yield* readWhile(reading, /^:?\d*/);
    id = `${isBefore ? beforeName : ""}${name}${number}`;
  }
  if (body.id !== undefined && (yield* reading.accept(body.id))) {
    id = yield* readWhile(reading, /^\w*/);
  }
  // Models leave this mark out at times.
  yield* reading.space();
  yield* reading.accept(body.afterName.trim());
  yield* reading.space();
  if (!(yield* reading.more(0)) || !reading.rest.startsWith("{")) return false;
  const write = scope.begin(reading, name, id);
  yield* readArguments(
    reading,
    write,
    [afterArguments, ...ends].filter(Boolean),
  );
  if (afterArguments !== "") yield* reading.acceptNext(afterArguments.trim());
  return true;
}

function* readWhile(reading: Reading, pattern: RegExp): Reads<string> {
  let length = 0;
  do {
    const next = reading.rest.slice(0, MAX_ID_CHARS);
    length = pattern.exec(next)?.[0].length ?? 0;
  } while (
    length === reading.rest.length &&
    length < MAX_ID_CHARS &&
    (yield* reading.more(length))
  );
  return reading.take(length);
}
