/**
 * The log: a reader of events. It writes lines with time, level and tag for people, or JSON lines (through pino) for machines.
 *
 *     12:00:00.123 info  [CONNECT]      connected to the bootstrap peer=12D3… transport=QUIC
 *     {"level":"info","time":"2026-01-01T12:00:00.123Z","tag":"CONNECT","peer":"12D3…","transport":"QUIC","msg":"connected to the bootstrap"}
 */
import pino from "pino";
import {
  type EventFields,
  type EventLevel,
  type EventReader,
  LEVELS,
  type ShoalEvent,
} from "./events.ts";
import {
  escapedJson,
  paint,
  paintSigns,
  printable,
  toAscii,
  wrapWords,
} from "./terminal.ts";

export interface LogOptions {
  format: "text" | "json";
  level: EventLevel;
  /** Where lines go. */
  write: (line: string) => void;
  color?: boolean | undefined;
  /** Text in plain ASCII. */
  ascii?: boolean | undefined;
  /** The terminal's current width: longer lines are wrapped. If absent, one line per event, for files and pipes. */
  width?: (() => number) | undefined;
}

/** The width a log is made for: reports are no wider. */
const LOG_COLUMNS = 120;
/** The width of time, level and tag before the message. */
const PREFIX_COLUMNS = "12:00:00.123 error [TORRENT_SYNC] ".length;
/** The width left for a report's lines. */
export const LOG_LINE_COLUMNS = LOG_COLUMNS - PREFIX_COLUMNS;
/** Narrower terminals have no room for words beside time and tag: they wrap the lines themselves. */
const MIN_WRAP_COLUMNS = PREFIX_COLUMNS + 30;

const STYLES = {
  debug: "gray",
  info: "cyan",
  warn: "yellow",
  error: "red",
} as const satisfies Record<EventLevel, string>;

export function logReader(options: LogOptions): EventReader {
  return options.format === "json" ? jsonReader(options) : textReader(options);
}

/** Keys of the line itself: a field of that name gets an underscore. */
const RESERVED = new Set(["level", "time", "tag", "msg"]);

function jsonReader({ level, write }: LogOptions): EventReader {
  const formatters = { level: (label: string) => ({ level: label }) };
  const logger = pino(
    { level, base: null, timestamp: false, formatters },
    { write: (line) => write(escapedJson(line)) },
  );
  return ({ timeMs, level: of, tag, message, fields }) => {
    const named = Object.entries(fields).map(([key, value]) => [
      RESERVED.has(key) ? `${key}_` : key,
      value,
    ]);
    logger[of](
      {
        time: new Date(timeMs).toISOString(),
        tag,
        ...Object.fromEntries(named),
      },
      message,
    );
  };
}

function textReader(options: LogOptions): EventReader {
  const { level, write, color = false, ascii = false } = options;
  const lowest = LEVELS.indexOf(level);
  const styled = (style: Parameters<typeof paint>[0], text: string): string =>
    color ? paint(style, text) : text;
  const print = (lines: readonly string[]): void => {
    for (const line of lines) write(`${ascii ? toAscii(line) : line}\n`);
  };
  return (event) => {
    if (LEVELS.indexOf(event.level) < lowest) return;
    const prefix = prefixOf(event, styled);
    if (event.lines !== undefined) {
      print(
        event.lines.map((line) => {
          const text = printable(line);
          return prefix + (color ? paintSigns(text) : text);
        }),
      );
      return;
    }
    const loud = event.level === "warn" || event.level === "error";
    const words = printable(event.message)
      .split(" ")
      .map((word) => (loud ? styled(STYLES[event.level], word) : word));
    const width = options.width?.() ?? Infinity;
    const columns = width < MIN_WRAP_COLUMNS ? Infinity : width;
    const fields = fieldsOf(event.fields)
      // A list of addresses fits into no line, so it may be broken after its commas.
      .flatMap((field) =>
        columns === Infinity ? [field] : field.split(/(?<=,)(?=\/)/),
      )
      .map((field) => styled("dim", field));
    const [first = "", ...more] = wrapWords(
      [...words, ...fields],
      columns - PREFIX_COLUMNS,
      2,
    );
    const indent = " ".repeat(PREFIX_COLUMNS);
    print([prefix + first, ...more.map((line) => indent + line)]);
  };
}

function prefixOf(
  { timeMs, level, tag }: ShoalEvent,
  styled: (style: Parameters<typeof paint>[0], text: string) => string,
): string {
  const time = new Date(timeMs).toISOString().slice(11, 23);
  const shown = `[${tag}]`;
  const padding = " ".repeat(
    Math.max(1, "[TORRENT_SYNC] ".length - shown.length),
  );
  return `${styled("dim", time)} ${styled(STYLES[level], level.padEnd(5))} ${styled(STYLES[level], shown)}${padding}`;
}

function fieldsOf(fields: EventFields): string[] {
  return Object.entries(fields).flatMap(([key, value]) => {
    if (value === undefined) return [];
    const shown = printable(
      Array.isArray(value) ? value.join(",") : String(value),
    );
    return [`${key}=${/[\s"]/.test(shown) ? JSON.stringify(shown) : shown}`];
  });
}
