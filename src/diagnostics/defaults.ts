/** Every bound of diagnostics, with its reason. */
export const DIAGNOSTICS_DEFAULTS = Object.freeze({
  /** The rendezvous' page. */
  port: 51821,
  /** Where the other roles begin to look for a free port: several of them fit on one machine. */
  firstFreePort: 51823,
  /** Ports tried from there; after them the system chooses. */
  portsTried: 64,
  /** Nothing is to be sent to it. */
  bodyLimitBytes: 1024,
  /** Open sockets: pages have three each. Beyond it the system refuses. */
  maxConnections: 1_024,
  /** Headers of a GET. */
  headersTimeoutMs: 10_000,
  /** A status is computed at most this often, however many ask. */
  statusAgeMs: 1_000,
  /** After an event that changes it, at most this often. */
  movedStatusAgeMs: 200,
  /** Events kept for those who come late: about 1 MiB. */
  eventsKept: 2_000,
  /** Longer texts are cut. */
  eventTextChars: 1_000,
  eventFields: 32,
  /** Streams of events at once. */
  eventStreams: 256,
  /** What one reader may leave unread before it waits (it goes on from the kept events, or is told of the gap). */
  eventStreamBytes: 256 * 1024,
  /** Events of a burst go out together. */
  eventFlushMs: 100,
  /** Proxies close what is silent; readers notice a lost connection. */
  eventHeartbeatMs: 15_000,
  /** A reader that takes nothing for so long is let go. */
  eventStallMs: 60_000,
  /** What a browser waits before it connects again. */
  eventRetryMs: 2_000,
  /** One sample of the charts. */
  historyStepMs: 5_000,
  /** An hour of them. */
  historySamples: 720,
  /** The page's files, together: they are kept in memory. */
  pageBytes: 8 * 1024 * 1024,
  pageFiles: 64,
});
