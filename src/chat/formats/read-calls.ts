import type { Reading, Reads } from "../reading.ts";
import type { CallBody, CallFormat } from "./format.ts";
import { readNamed } from "./read-named.ts";
import { readObject } from "./read-object.ts";
import { readTagged } from "./read-tagged.ts";
import type { CallScope } from "./scope.ts";

/**
 * Reads the calls that begin here. False: there is none, and nothing was read. A call begins once its tool is known by name and its form is
 * as it should be up to the arguments; from then on it stays a call, and what breaks its form is given as it is written.
 */
export function* readCalls(
  reading: Reading,
  format: CallFormat | undefined,
  scope: CallScope,
): Reads<boolean> {
  if (format === undefined) return false;
  const { section, isList = false } = format;
  reading.mark();
  yield* reading.space();
  const inSection =
    section !== undefined && (yield* reading.accept(section.open));
  if (inSection) yield* reading.space();
  // One call may come without its list.
  const isListed = isList && (yield* reading.accept("["));
  if (!(yield* readCall(reading, format, scope))) {
    reading.goBack();
    return false;
  }
  let hasMore = isList === isListed;
  while (hasMore) hasMore = yield* readNext(reading, format, scope);
  if (isListed) yield* reading.acceptNext("]");
  if (inSection && section.close !== "") {
    yield* reading.acceptNext(section.close);
  }
  return true;
}

/** Reads one more call. False: there is none, and nothing was read. */
function* readNext(
  reading: Reading,
  format: CallFormat,
  scope: CallScope,
): Reads<boolean> {
  reading.mark();
  yield* reading.space();
  const separator = format.isList === true ? "," : format.isBare ? ";" : "";
  const isSeparate = yield* reading.accept(separator);
  const isCall =
    (isSeparate || format.isBare === true) &&
    (yield* readCall(reading, format, scope));
  if (!isCall) reading.goBack();
  return isCall;
}

function* readCall(
  reading: Reading,
  format: CallFormat,
  scope: CallScope,
): Reads<boolean> {
  const { call, isBare = false, isOpenOptional = false } = format;
  yield* reading.space();
  const isOpen = yield* reading.accept(call.open);
  if (!isOpen && !isBare && !isOpenOptional) return false;
  yield* reading.space();
  const ends = [call.close, format.section?.close ?? ""].filter(
    (end) => end !== "",
  );
  if (!(yield* readBody(reading, format.body, scope, ends))) return false;
  if (call.close !== "") yield* reading.acceptNext(call.close);
  return true;
}

/** Reads a call without its marks. False before it has begun; then what was read is to be read again. */
function readBody(
  reading: Reading,
  body: CallBody,
  scope: CallScope,
  ends: readonly string[],
): Reads<boolean> {
  if (body.kind === "object") return readObject(reading, body, scope, ends);
  if (body.kind === "named") return readNamed(reading, body, scope, ends);
  return readTagged(reading, body, scope);
}
