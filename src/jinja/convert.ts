/** From JSON's values to a template's. */
import { MAX_VALUE_DEPTH } from "./budget.ts";
import { fail } from "./errors.ts";
import { Dict, type Value } from "./values.ts";

/** What JSON.parse gives; a member that is undefined is absent. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

export function fromJson(json: Json, depth = 0): Value {
  if (depth > MAX_VALUE_DEPTH) fail("a value is nested too deep");
  if (typeof json === "number") {
    return Number.isSafeInteger(json) ? BigInt(json) : json;
  }
  if (json === null || typeof json !== "object") return json;
  if (isList(json)) return json.map((item) => fromJson(item, depth + 1));
  const dict = new Dict();
  for (const [key, value] of Object.entries(json)) {
    if (value !== undefined) dict.set(key, fromJson(value, depth + 1));
  }
  return dict;
}

const isList = (json: object): json is readonly Json[] => Array.isArray(json);
