/** Validation with messages a person can act on: "`temperature` must be between 0 and 2, got 9". */
import type { z } from "zod";
import { ShoalError } from "../lib/index.ts";

/** Fields whose strings may be quoted: short words of the API itself, never parts of a prompt. */
const SHOWABLE: ReadonlySet<PropertyKey> = new Set(["role", "type"]);
const MAX_SHOWN_CHARS = 32;

/** `body` parsed by the schema, or REQUEST_INVALID with the first error and its field in `param`. */
export function validate<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue === undefined || issue.path.length === 0) {
    throw new ShoalError(
      "REQUEST_INVALID",
      `the request's body must be a JSON object, got ${describe(body)}`,
    );
  }
  const param = pathText(issue.path);
  throw invalid(param, explain(issue.message, issue.path, body));
}

export function invalid(param: string, what: string): ShoalError {
  return new ShoalError("REQUEST_INVALID", `\`${param}\` ${what}`, { param });
}

function explain(
  message: string,
  path: readonly PropertyKey[],
  body: unknown,
): string {
  let value = body;
  for (const key of path) {
    if (typeof value !== "object" || value === null) break;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  if (value === undefined) return `is missing: it ${message}`;
  return `${message}, got ${describe(value, SHOWABLE.has(path.at(-1) ?? ""))}`;
}

/** ["messages", 0, "role"] → "messages[0].role" */
function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key, i) =>
      typeof key === "number"
        ? `[${key}]`
        : `${i > 0 ? "." : ""}${String(key)}`,
    )
    .join("")
    .slice(0, 200);
}

function describe(value: unknown, showText = false): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (value === "") return "an empty string";
  if (Array.isArray(value)) {
    return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  }
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number" || typeof value === "boolean") {
    return String(value);
  }
  if (typeof value !== "string") return "an object";
  const show = showText && value.length <= MAX_SHOWN_CHARS;
  return show ? JSON.stringify(value) : "a string";
}
