import { readJson, readJsonText } from "../json-reading.ts";
import type { Reading, Reads } from "../reading.ts";

/**
 * Reads a call's arguments: JSON as it is written, or a string that says it. JSON that breaks goes on, as it is written, to what ends the
 * call.
 */
export function* readArguments(
  reading: Reading,
  write: (text: string) => void,
  ends: readonly string[],
): Reads {
  const isText = (yield* reading.more(0)) && reading.rest.startsWith('"');
  const isWhole = isText
    ? yield* readJsonText(reading, write)
    : yield* readJson(reading, write);
  if (!isWhole) yield* reading.until(ends, write);
}
