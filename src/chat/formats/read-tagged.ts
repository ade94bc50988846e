import type { Reading, Reads } from "../reading.ts";
import type { TaggedBody } from "./format.ts";
import {
  argumentTypes,
  isOnlyText,
  typeOf,
  type JsonType,
} from "./schema-types.ts";
import type { CallScope } from "./scope.ts";

/**
 * Each argument becomes a member of a JSON object: a text where the schema says string, else the JSON that is written, or a text if it is
 * none. A text comes as it is written, anything else once it is whole.
 */
export function* readTagged(
  reading: Reading,
  body: TaggedBody,
  scope: CallScope,
): Reads<boolean> {
  if (!(yield* reading.accept(body.beforeName))) return false;
  const name = yield* reading.acceptOne(scope.names);
  if (name === undefined) return false;
  if (!(yield* reading.accept(body.afterName))) return false;
  const isNext = yield* reading.more(0);
  if (!isNext) return false;
  // Without a mark after it, a longer name is not this one.
  if (body.afterName === "" && !/^[\s<]/.test(reading.rest)) return false;
  const write = scope.begin(reading, name);
  let count = 0;
  while (yield* reading.acceptNext(body.key.open)) {
    write(count === 0 ? "{" : ", ");
    const key = yield* readKey(reading, body, write);
    if (key === undefined) return true;
    const types = argumentTypes(scope.tool(name)?.parameters, key);
    if (!(yield* readValue(reading, body, types, write))) return true;
    count++;
  }
  yield* reading.space();
  // What is cut off stays open.
  if (!(yield* reading.more(0))) return true;
  yield* reading.accept(body.close);
  write(count === 0 ? "{}" : "}");
  return true;
}

function* readKey(
  reading: Reading,
  { key: { close } }: TaggedBody,
  write: (text: string) => void,
): Reads<string | undefined> {
  let key = "";
  write('"');
  const end = yield* reading.until([close], (text) => {
    key += text;
    write(escaped(text));
  });
  if (end === undefined) return undefined;
  reading.take(close.length);
  write('": ');
  return key;
}

/** False: the text ended within it. */
function* readValue(
  reading: Reading,
  body: TaggedBody,
  types: ReadonlySet<JsonType> | undefined,
  write: (text: string) => void,
): Reads<boolean> {
  const { value, valueClose, isOnLines = false } = body;
  const says = yield* acceptOpen(reading, value);
  const isText = says === "text" || (says === undefined && isOnlyText(types));
  if (isOnLines) yield* reading.accept("\n");
  const ends = isOnLines ? [`\n${valueClose}`, valueClose] : [valueClose];
  let other = "";
  if (isText) write('"');
  const end = yield* reading.until(ends, (text) => {
    if (isText) write(escaped(text));
    else other += text;
  });
  if (end === undefined) {
    write(other);
    return false;
  }
  reading.take(end.length);
  write(isText ? '"' : asJson(other, says === "json" ? undefined : types));
  return true;
}

function* acceptOpen(
  reading: Reading,
  opens: TaggedBody["value"],
): Reads<"text" | "json" | undefined> {
  for (const { open, says } of opens) {
    if (open === "") continue;
    if (yield* reading.acceptNext(open.trim())) return says;
  }
  return undefined;
}

/** Within a JSON string. */
const escaped = (text: string): string => JSON.stringify(text).slice(1, -1);

const PYTHON: Readonly<Record<string, string>> = {
  True: "true",
  False: "false",
  None: "null",
};

function asJson(
  text: string,
  types: ReadonlySet<JsonType> | undefined,
): string {
  const trimmed = text.trim();
  const json = PYTHON[trimmed] ?? trimmed;
  try {
    const type = typeOf(JSON.parse(json));
    if (types === undefined || types.has(type)) return json;
  } catch {
    // A text.
  }
  return JSON.stringify(text);
}
