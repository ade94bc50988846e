/**
 * The page's data, kept up to date: the status every 2 s (15 s in the background) and at once after an event that changes it; the events as
 * they arrive; the history of the charts. A lost connection is noticed, shown, and retried.
 */
import { createStore } from "./store.ts";
import type { HistoryColumns, LogEntry, NodeStatus } from "./types.ts";

const POLL_MS = 2_000;
const HIDDEN_POLL_MS = 15_000;
const TIMEOUT_MS = 8_000;
/** Delay from an event to the request for the new status: one request per burst. */
const SOON_MS = 300;
const HISTORY_MS = 10_000;
const EVENTS_KEPT = 1_000;
/** A stream that the server refused is reopened after this time. */
const REOPEN_MS = 3_000;
/** Events that change the status. */
const MOVES = new Set(["SWARM", "CLUSTER", "SHARD", "CONNECT", "SESSION"]);

export interface Live {
  status: NodeStatus | undefined;
  /** By this machine's monotonic clock. */
  receivedMs: number;
  /** Since when nothing has arrived; undefined while all is well. */
  lostMs: number | undefined;
  why: string;
}

export const live = createStore<Live>({
  status: undefined,
  receivedMs: 0,
  lostMs: undefined,
  why: "",
});
export const log = createStore<readonly LogEntry[]>([]);
export const history = createStore<HistoryColumns | undefined>(undefined);

let timer: ReturnType<typeof setTimeout> | undefined;
let asking = false;
let again = false;

export function startLive(): void {
  void ask();
  void askHistory();
  openEvents();
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) void ask();
  });
}

async function ask(): Promise<void> {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  clearTimeout(timer);
  try {
    const status = await getJson<NodeStatus>("/api/v1/status");
    if (status.v !== 1)
      throw new Error("it has another version: reload the page");
    live.set({
      status,
      receivedMs: performance.now(),
      lostMs: undefined,
      why: "",
    });
  } catch (error) {
    const last = live.get();
    live.set({
      ...last,
      lostMs: last.lostMs ?? performance.now(),
      why: whyOf(error),
    });
  }
  asking = false;
  const soon = again;
  again = false;
  askAfter(soon ? SOON_MS : document.hidden ? HIDDEN_POLL_MS : POLL_MS);
}

function askAfter(ms: number): void {
  clearTimeout(timer);
  timer = setTimeout(() => void ask(), ms);
}

async function askHistory(): Promise<void> {
  try {
    const known = history.get();
    const last = known?.timeMs.at(-1);
    const query = last === undefined ? "" : `?after=${last}`;
    const news = await getJson<HistoryColumns>(`/api/v1/history${query}`);
    history.set(known === undefined ? news : joined(known, news));
  } catch {
    // The status reports the loss.
  }
  setTimeout(() => void askHistory(), HISTORY_MS);
}

/** An hour of samples, the newest last. */
function joined(old: HistoryColumns, news: HistoryColumns): HistoryColumns {
  if (news.timeMs.length === 0) return old;
  const keep = Math.floor(3_600_000 / news.stepMs);
  const result = { ...news };
  for (const key of Object.keys(news) as (keyof HistoryColumns)[]) {
    if (key === "v" || key === "stepMs") continue;
    const column = [...old[key], ...news[key]].slice(-keep);
    Object.assign(result, { [key]: column });
  }
  return result;
}

async function getJson<T>(path: string): Promise<T> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(path, { signal });
  if (!response.ok) throw new Error(`it answers ${response.status}`);
  return (await response.json()) as T;
}

function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "it does not answer";
  return error.name === "TypeError" ? "it cannot be reached" : error.message;
}

let waiting: LogEntry[] = [];
let gaps = 0;

function openEvents(lastId = ""): void {
  const after = lastId === "" ? "" : `?after=${encodeURIComponent(lastId)}`;
  const source = new EventSource(`/api/v1/events${after}`);
  let id = lastId;
  source.addEventListener("message", ({ data, lastEventId }) => {
    id = lastEventId;
    const entry = { kind: "event", ...JSON.parse(String(data)) } as LogEntry;
    take(entry);
    if (entry.kind === "event" && MOVES.has(entry.tag)) askAfter(SOON_MS);
  });
  source.addEventListener("gap", ({ data }) => {
    const { missed } = JSON.parse(String(data)) as { missed: number | null };
    take({ kind: "gap", id: `gap-${++gaps}`, missed });
  });
  source.addEventListener("error", () => {
    // The browser reopens a broken connection, but not a refused one.
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => openEvents(id), REOPEN_MS);
  });
}

/** Bursts are shown together. */
function take(entry: LogEntry): void {
  waiting.push(entry);
  if (waiting.length > 1) return;
  setTimeout(() => {
    log.set([...log.get(), ...waiting].slice(-EVENTS_KEPT));
    waiting = [];
  }, 100);
}
