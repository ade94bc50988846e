import { JsonScanner } from "./json-scanner.ts";
import type { Reading, Reads } from "./reading.ts";

// oxlint-disable-next-line no-control-regex
const PLAIN = /^[^"\\\u0000-\u001f]+/;

/** Reads one JSON value as it is written, up to where it breaks. False: it breaks, or the text ends within it. */
export function* readJson(
  reading: Reading,
  write: (text: string) => void,
): Reads<boolean> {
  const scanner = new JsonScanner();
  while (true) {
    const length = scanner.scan(reading.rest);
    if (length > 0) write(reading.take(length));
    if (scanner.state !== "open") return scanner.state === "done";
    if (yield* reading.more(0)) continue;
    scanner.finish();
    return (scanner.state as string) === "done";
  }
}

/** Reads a JSON string and gives what it says. False: it is none, or it breaks, or the text ends within it. */
export function* readJsonText(
  reading: Reading,
  write: (text: string) => void,
): Reads<boolean> {
  if (!(yield* reading.accept('"'))) return false;
  while (yield* reading.more(0)) {
    if (yield* reading.accept('"')) return true;
    const plain = PLAIN.exec(reading.rest)?.[0] ?? "";
    const said =
      plain === "" ? yield* readEscape(reading) : reading.take(plain.length);
    if (said === undefined) return false;
    write(said);
  }
  return false;
}

/** One escape, or two that are the halves of one character. */
function* readEscape(reading: Reading): Reads<string | undefined> {
  if (!(yield* reading.more(1))) return undefined;
  let length = reading.rest[1] === "u" ? 6 : 2;
  if (!(yield* reading.more(length - 1))) return undefined;
  const isHalf = /^\\u[dD][89abAB]/.test(reading.rest);
  if (isHalf && (yield* reading.more(length)) && reading.rest[6] === "\\") {
    if (yield* reading.more(11)) {
      if (/^\\u[dD][c-fC-F]/.test(reading.rest.slice(6))) length = 12;
    }
  }
  try {
    const said = JSON.parse(`"${reading.rest.slice(0, length)}"`) as string;
    reading.take(length);
    return said;
  } catch {
    return undefined;
  }
}

/** A short JSON string: a key, a name, an id. Undefined: it is none. */
export function* readJsonWord(reading: Reading): Reads<string | undefined> {
  let word = "";
  const isWord = yield* readJsonText(reading, (text) => {
    word += text;
  });
  return isWord ? word : undefined;
}
