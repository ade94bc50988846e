import { readJson, readJsonWord } from "../json-reading.ts";
import type { Reading, Reads } from "../reading.ts";
import type { ObjectBody } from "./format.ts";
import { readArguments } from "./read-arguments.ts";
import type { CallScope } from "./scope.ts";

interface Fields {
  name?: string;
  id?: string;
  /** Arguments that came before the name. */
  early: string;
  write?: (text: string) => void;
}

export function* readObject(
  reading: Reading,
  body: ObjectBody,
  scope: CallScope,
  ends: readonly string[],
): Reads<boolean> {
  const fields: Fields = { early: "" };
  const isWhole = yield* readFields(reading, body, scope, ends, fields);
  if (fields.write !== undefined) return true;
  const { name } = fields;
  if (!isWhole || name === undefined) return false;
  scope.begin(reading, name, fields.id)(fields.early || "{}");
  return true;
}

/** False: it is no object, or of no known tool. Once a call has begun, only its end may be missing. */
function* readFields(
  reading: Reading,
  body: ObjectBody,
  scope: CallScope,
  ends: readonly string[],
  fields: Fields,
): Reads<boolean> {
  if (!(yield* reading.accept("{"))) return false;
  do {
    yield* reading.space();
    const key = yield* readJsonWord(reading);
    if (key === undefined) return false;
    yield* reading.space();
    if (!(yield* reading.accept(":"))) return false;
    yield* reading.space();
    const isRead = yield* readField(reading, key, body, scope, ends, fields);
    if (!isRead) return false;
    yield* reading.space();
  } while (yield* reading.accept(","));
  return yield* reading.accept("}");
}

function* readField(
  reading: Reading,
  key: string,
  body: ObjectBody,
  scope: CallScope,
  ends: readonly string[],
  fields: Fields,
): Reads<boolean> {
  if (key === body.name && fields.name === undefined) {
    const name = yield* readJsonWord(reading);
    if (name === undefined || scope.tool(name) === undefined) return false;
    fields.name = name;
    return true;
  }
  if (body.arguments.includes(key) && fields.write === undefined) {
    if (fields.name === undefined) {
      return yield* readJson(reading, (text) => {
        fields.early += text;
      });
    }
    fields.write = scope.begin(reading, fields.name, fields.id);
    yield* readArguments(reading, fields.write, ends);
    return true;
  }
  // OpenAI's own form: {"type": "function", "function": {"name": …}}.
  const isWrapped = key === "function" && fields.name === undefined;
  if (isWrapped && (yield* reading.more(0)) && reading.rest.startsWith("{")) {
    return yield* readFields(reading, body, scope, ends, fields);
  }
  let value = "";
  const isJson = yield* readJson(reading, (text) => {
    value += text;
  });
  if (isJson && key === body.id?.key) fields.id = idOf(value);
  return isJson;
}

function idOf(json: string): string {
  const value: unknown = JSON.parse(json);
  return typeof value === "string" ? value : json.trim();
}
