/** The shapes of the API, from where they are defined. Types only: nothing of the server is in the page. */
import type {
  ClusterStatus,
  MemberStatus,
  NodeStatus,
  SessionStatus,
} from "../../src/status/index.ts";
import type { HistoryColumns } from "../../src/diagnostics/history.ts";
import type { EventLevel } from "../../src/lib/index.ts";

export type {
  ClusterStatus,
  EventLevel,
  HistoryColumns,
  MemberStatus,
  NodeStatus,
  SessionStatus,
};

/** An event from the stream, or a mark for missing ones. */
export type LogEntry =
  | {
      kind: "event";
      id: string;
      timeMs: number;
      level: EventLevel;
      tag: string;
      message: string;
      fields: Record<string, unknown>;
    }
  | { kind: "gap"; id: string; missed: number | null };
