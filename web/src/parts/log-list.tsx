/** Lines of the log. */
import { memo, type ReactNode } from "react";
import { clock } from "../format.ts";
import type { LogEntry } from "../types.ts";

export function LogList({
  entries,
}: {
  entries: readonly LogEntry[];
}): ReactNode {
  return (
    <ol className="log">
      {entries.map((entry) => (
        <Line key={entry.id} entry={entry} />
      ))}
    </ol>
  );
}

const Line = memo(function Line({ entry }: { entry: LogEntry }): ReactNode {
  if (entry.kind === "gap")
    return (
      <li>
        <span className="gap">
          {entry.missed === null
            ? "events may be missing here: the process restarted"
            : `${entry.missed} events are missing here`}
        </span>
      </li>
    );
  const { level, tag, timeMs, message } = entry;
  const fields = fieldsText(entry.fields);
  return (
    <li className={`level-${level}`}>
      <time dateTime={new Date(timeMs).toISOString()}>{clock(timeMs)}</time>
      <b>[{tag}]</b>
      <span className="text">
        {level === "warn" || level === "error" ? `${level}: ` : ""}
        {message} <span className="soft">{fields}</span>
      </span>
    </li>
  );
});

function fieldsText(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .map(
      ([key, value]) =>
        `${key}=${Array.isArray(value) ? value.join(",") : String(value)}`,
    )
    .join(" ");
}

/** In the form of a log file. */
export function lineText(entry: LogEntry): string {
  if (entry.kind === "gap") return `… ${entry.missed ?? "some"} events missing`;
  const { timeMs, level, tag, message, fields } = entry;
  return `${new Date(timeMs).toISOString()} ${level} [${tag}] ${message} ${fieldsText(fields)}`.trimEnd();
}
