/**
 * Structured events: the one source of logs, metrics and pages. An event is emitted only after its fact is confirmed. Readers subscribe;
 * the log is one of them.
 *
 *     events.info("CONNECT", "connected to the bootstrap", { peer, transport: "QUIC" });
 */

/** The tags of the operator's story (docs/ARCHITECTURE.md), plus those of the parts that came after it. */
export type EventTag =
  | "CONFIG"
  | "TORRENT"
  | "HUB"
  | "TENSOR_LOAD"
  | "SHARD"
  | "MEMORY"
  | "ENGINE"
  | "TRANSPORT"
  | "LISTEN"
  | "CONNECT"
  | "TORRENT_SYNC"
  | "MSG"
  | "DHT"
  | "CLUSTER"
  | "RING"
  | "SESSION"
  | "API"
  | "STATUS"
  | "SWARM"
  | "PROCESS";

export const LEVELS = ["debug", "info", "warn", "error"] as const;
export type EventLevel = (typeof LEVELS)[number];

/** Values a field may have. No prompt, no secret, no key. */
export type EventFields = Readonly<
  Record<
    string,
    string | number | boolean | readonly (string | number)[] | undefined
  >
>;

export interface ShoalEvent {
  /** Milliseconds since the epoch. */
  timeMs: number;
  level: EventLevel;
  tag: EventTag;
  message: string;
  fields: EventFields;
  /** A report for people, shown instead of message and fields: one entry per line, no wider than LOG_LINE_COLUMNS. */
  lines?: readonly string[];
}

export type EventReader = (event: ShoalEvent) => void;

/** The narrow interface for other folders: a place to report what happened. */
export interface EventSink {
  debug(tag: EventTag, message: string, fields?: EventFields): void;
  info(
    tag: EventTag,
    message: string,
    fields?: EventFields,
    lines?: readonly string[],
  ): void;
  warn(tag: EventTag, message: string, fields?: EventFields): void;
  error(tag: EventTag, message: string, fields?: EventFields): void;
}

export class Events implements EventSink {
  #readers = new Set<EventReader>();
  #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Returns the function that ends the subscription. */
  subscribe(reader: EventReader): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  emit(
    level: EventLevel,
    tag: EventTag,
    message: string,
    fields: EventFields = {},
    lines?: readonly string[],
  ): void {
    const event: ShoalEvent = {
      timeMs: this.#now(),
      level,
      tag,
      message,
      fields,
      ...(lines && { lines }),
    };
    for (const reader of this.#readers) reader(event);
  }

  debug(tag: EventTag, message: string, fields?: EventFields): void {
    this.emit("debug", tag, message, fields);
  }
  info(
    tag: EventTag,
    message: string,
    fields?: EventFields,
    lines?: readonly string[],
  ): void {
    this.emit("info", tag, message, fields, lines);
  }
  warn(tag: EventTag, message: string, fields?: EventFields): void {
    this.emit("warn", tag, message, fields);
  }
  error(tag: EventTag, message: string, fields?: EventFields): void {
    this.emit("error", tag, message, fields);
  }
}
