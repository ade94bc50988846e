import { type ReactNode, useState } from "react";
import { count } from "../format.ts";
import { log } from "../live.ts";
import { toClipboard } from "../chat/copy.tsx";
import { lineText, LogList } from "../parts/log-list.tsx";
import { Empty, Panel } from "../parts/small.tsx";
import { hrefOf } from "../route.ts";
import type { EventLevel, LogEntry } from "../types.ts";

const LEVELS: readonly EventLevel[] = ["debug", "info", "warn", "error"];
/** Lines shown at once; more are a click away. */
const PAGE = 200;
const RECENT = 8;

export function EventsView(): ReactNode {
  const all = log.use();
  const [paused, setPaused] = useState<readonly LogEntry[]>();
  const [tag, setTag] = useState("");
  const [level, setLevel] = useState<EventLevel>("info");
  const [text, setText] = useState("");
  const [shown, setShown] = useState(PAGE);
  const [said, setSaid] = useState("");
  const entries = paused ?? all;
  const tags = [
    ...new Set(all.flatMap((e) => (e.kind === "event" ? e.tag : []))),
  ].sort();
  const lowest = LEVELS.indexOf(level);
  const wanted = text.toLowerCase();
  const matching = entries.filter(
    (entry) =>
      entry.kind === "gap" ||
      (LEVELS.indexOf(entry.level) >= lowest &&
        (tag === "" || entry.tag === tag) &&
        (wanted === "" || lineText(entry).toLowerCase().includes(wanted))),
  );
  const copy = async (): Promise<void> => {
    const done = await toClipboard(`${matching.map(lineText).join("\n")}\n`);
    setSaid(done ? "Copied" : "The browser does not allow copying");
    setTimeout(() => setSaid(""), 2_000);
  };
  return (
    <Panel
      title="Events"
      note={`${count(matching.length)} of the last ${count(entries.length)}, newest first${paused === undefined ? "" : "; paused"}`}
    >
      <div className="filters" role="group" aria-label="Filter">
        <label>
          Tag{" "}
          <select value={tag} onChange={({ target }) => setTag(target.value)}>
            <option value="">all</option>
            {tags.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          From level{" "}
          <select
            value={level}
            onChange={({ target }) => setLevel(target.value as EventLevel)}
          >
            {LEVELS.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          Text{" "}
          <input
            type="search"
            value={text}
            onChange={({ target }) => setText(target.value)}
          />
        </label>
        <button
          type="button"
          aria-pressed={paused !== undefined}
          onClick={() => setPaused(paused === undefined ? all : undefined)}
        >
          Pause
        </button>
        <button type="button" onClick={() => void copy()}>
          {said === "" ? "Copy" : said}
        </button>
      </div>
      {matching.length === 0 ? (
        <Empty>No event fits.</Empty>
      ) : (
        <LogList entries={matching.slice(-shown).toReversed()} />
      )}
      {matching.length > shown && (
        <button type="button" onClick={() => setShown(shown + PAGE)}>
          Show more
        </button>
      )}
    </Panel>
  );
}

/** The reports every 30 s repeat what the page shows. */
function isNews({ level, tag }: { level: EventLevel; tag: string }): boolean {
  return level !== "debug" && tag !== "STATUS";
}

export function RecentEvents(): ReactNode {
  const entries = log
    .use()
    .filter((entry) => entry.kind === "gap" || isNews(entry))
    .slice(-RECENT)
    .toReversed();
  return (
    <Panel
      title="Latest events"
      end={<a href={hrefOf("events")}>all events</a>}
    >
      {entries.length === 0 ? (
        <Empty>Nothing happened yet.</Empty>
      ) : (
        <LogList entries={entries} />
      )}
    </Panel>
  );
}
