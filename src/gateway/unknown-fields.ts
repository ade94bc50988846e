/** Fields that no parser here knows: each name is told once, or refused (`--strict`). */
import { ShoalError, type EventSink } from "../lib/index.ts";
import type { ParseContext } from "./api.ts";

/** Names remembered as told; of more than these nothing is told. Clients have a few. */
const MAX_TOLD = 256;
const MAX_NAME_CHARS = 64;

export function unknownFields({
  events,
  strict,
}: {
  events: EventSink;
  strict: boolean;
}): ParseContext {
  const told = new Set<string>();
  return {
    strict,
    onUnknown: (name) => {
      const field = name.slice(0, MAX_NAME_CHARS);
      if (told.has(field) || told.size >= MAX_TOLD) return;
      told.add(field);
      events.info("API", "a request has a field that does nothing here", {
        field,
      });
    },
  };
}

/** Tells of each field of `body` that is not among the `known`, unless it is null. Throws PARAMETER_UNSUPPORTED if strict. */
export function tellUnknown(
  body: unknown,
  known: readonly string[],
  context: ParseContext,
): void {
  if (typeof body !== "object" || body === null) return;
  for (const [name, value] of Object.entries(body))
    if (value !== null && !known.includes(name)) tellOf(name, context);
}

/** The same for one. */
export function tellOf(name: string, context: ParseContext): void {
  if (!context.strict) {
    context.onUnknown(name);
    return;
  }
  const param = name.slice(0, MAX_NAME_CHARS);
  const what = `unknown parameter \`${param}\``;
  throw new ShoalError("PARAMETER_UNSUPPORTED", what, { param });
}
