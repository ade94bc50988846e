/** Fields that no parser here knows: each name is told once, or refused (`--strict`). */
import type { EventSink } from "../lib/index.ts";
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
