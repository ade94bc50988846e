/** The log: a reader of events. For people one line each with its tag, for machines JSON lines (through pino). */
import pino from "pino";
import {
  type EventFields,
  type EventLevel,
  type EventReader,
  LEVELS,
} from "./events.ts";

export interface LogOptions {
  format: "text" | "json";
  level: EventLevel;
  /** Where lines go. */
  write: (line: string) => void;
  color?: boolean;
}

const COLORS: Readonly<Record<EventLevel, string>> = {
  debug: "\u001B[2m",
  info: "\u001B[36m",
  warn: "\u001B[33m",
  error: "\u001B[31m",
};
const RESET = "\u001B[0m";
const DIM = "\u001B[2m";

export function logReader(options: LogOptions): EventReader {
  const { format, level, write } = options;
  const lowest = LEVELS.indexOf(level);
  if (format === "json") {
    const logger = pino({ level, base: null, timestamp: false }, { write });
    return (event) => {
      const { timeMs, tag, message, fields } = event;
      logger[event.level](
        { time: new Date(timeMs).toISOString(), tag, ...fields },
        message,
      );
    };
  }
  return (event) => {
    if (LEVELS.indexOf(event.level) < lowest) return;
    const time = new Date(event.timeMs).toISOString().slice(11, 23);
    const tag = `[${event.tag}]`;
    const mark =
      event.level === "warn" || event.level === "error"
        ? `${event.level}: `
        : "";
    const fields = formatFields(event.fields);
    if (options.color === true) {
      write(
        `${DIM}${time}${RESET} ${COLORS[event.level]}${tag}${RESET} ${mark}${event.message}${DIM}${fields}${RESET}\n`,
      );
    } else {
      write(`${time} ${tag} ${mark}${event.message}${fields}\n`);
    }
  };
}

function formatFields(fields: EventFields): string {
  let text = "";
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const shown = Array.isArray(value) ? value.join(",") : String(value);
    text += ` ${key}=${/[\s"]/.test(shown) ? JSON.stringify(shown) : shown}`;
  }
  return text;
}
