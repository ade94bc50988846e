/** What may leave the machine in an event: no full path, bounded texts. */
import type { EventFields, ShoalEvent } from "../lib/index.ts";
import { DIAGNOSTICS_DEFAULTS } from "./defaults.ts";

/** Begins like a path but is not one: multiaddrs, protocol ids, paths of a URL. */
const NO_PATH =
  /^\/(?:(?:ip4|ip6|dns|dns4|dns6|dnsaddr|p2p|tcp|udp)\/|shoal\/[a-z0-9/]+\/\d|(?:api\/)?v1\/)/;
/** An absolute path with at least one folder, of Unix or Windows, at the beginning of a word. */
const PATH =
  /(^|[\s"'`(=,[])((?:\/[^\s/"'`),\]]+){2,}\/?|[A-Za-z]:\\[^\s"'`),\]]+)/g;
/** Fields that only name a place on this machine. */
const LOCAL_FIELDS: ReadonlySet<string> = new Set(["stack"]);

/** Replaces each path in `text` by its last name. */
export function withoutPaths(text: string): string {
  return text.replaceAll(PATH, (whole, before: string, path: string) => {
    if (NO_PATH.test(path)) return whole;
    const name = path.split(/[\\/]/).findLast((part) => part !== "") ?? "";
    return `${before}…/${name}`;
  });
}

/** In a form that everyone who reaches the page may see. */
export function publicEvent(event: ShoalEvent): ShoalEvent {
  const { timeMs, level, tag, message } = event;
  const fields: Record<string, EventFields[string]> = {};
  for (const [key, value] of Object.entries(event.fields).slice(
    0,
    DIAGNOSTICS_DEFAULTS.eventFields,
  )) {
    if (value === undefined || LOCAL_FIELDS.has(key)) continue;
    fields[key] = Array.isArray(value)
      ? value.slice(0, DIAGNOSTICS_DEFAULTS.eventFields).map(publicValue)
      : publicValue(value as string | number | boolean);
  }
  return { timeMs, level, tag, message: publicText(message), fields };
}

function publicValue<T extends string | number | boolean>(
  value: T,
): T | string {
  return typeof value === "string" ? publicText(value) : value;
}

function publicText(text: string): string {
  return withoutPaths(text).slice(0, DIAGNOSTICS_DEFAULTS.eventTextChars);
}
