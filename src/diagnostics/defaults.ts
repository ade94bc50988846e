/** Every bound of diagnostics, with its reason. */
export const DIAGNOSTICS_DEFAULTS = Object.freeze({
  /** The rendezvous' page. */
  port: 51821,
  /** Where the other roles begin to search for a free port, so that several fit on one machine. */
  firstFreePort: 51823,
  /** Ports tried from there; after them the system chooses. */
  portsTried: 64,
  /** Requests have no body. */
  bodyLimitBytes: 1024,
  /** Open sockets: a page has three. Beyond this the system refuses. */
  maxConnections: 1_024,
  /** Headers of a GET. */
  headersTimeoutMs: 10_000,
  /** A status is computed at most this often, however many ask. */
  statusAgeMs: 1_000,
  /** After an event that changes it, at most this often. */
  movedStatusAgeMs: 200,
  /** Events kept for late readers: about 1 MiB. */
  eventsKept: 2_000,
  /** Longer texts are cut. */
  eventTextChars: 1_000,
  eventFields: 32,
  /** Streams of events at once. */
  eventStreams: 256,
  /** Unread bytes of one reader before it waits (it continues from the kept events, or learns about the gap). */
  eventStreamBytes: 256 * 1024,
  /** Events of a burst are sent together. */
  eventFlushMs: 100,
  /** Proxies close silent connections; readers notice lost ones. */
  eventHeartbeatMs: 15_000,
  /** A reader that reads nothing for this long is dropped. */
  eventStallMs: 60_000,
  /** How long a browser waits before it reconnects. */
  eventRetryMs: 2_000,
  /** One sample of the charts. */
  historyStepMs: 5_000,
  /** An hour of them. */
  historySamples: 720,
});
