/**
 * Every deadline and bound of downloads from the model hub and from `https:` addresses:
 *
 *     an answer's head 30 s  =  no data 30 s  <  another process counts as dead 60 s
 */
const KiB = 1024;
const MiB = 1024 * KiB;

export const DEFAULTS = Object.freeze({
  /** An answer's head. The hub takes seconds for a large repository. */
  headMs: 30_000,
  /** A connection that sends nothing for this long is given up. */
  stallMs: 30_000,
  /** Of a question to the hub: an answer that is late is seldom wanted any more. */
  apiAttempts: 3,
  /** Of a download, in a row, each without `progressBytes` more than ever before: half a minute in all. */
  attempts: 6,
  progressBytes: MiB,
  retryInitialMs: 1_000,
  retryMaxMs: 30_000,
  /** A longer Retry-After ends a question; a longer one ends a download. */
  apiRetryAfterMs: 10_000,
  retryAfterMs: 300_000,
  /** From the hub to its storage takes one or two. */
  redirects: 5,
  /** A page of a repository's files: the hub sends 1,000 of at most 1 KiB. */
  apiBytes: 8 * MiB,
  /** 200,000 files. No model's repository has as many. */
  apiPages: 200,
  /** A path in a repository, in characters. */
  pathChars: 1_024,
  /** Read at once of a header that lies on a server: a vocabulary takes one to ten of them. */
  headerReadBytes: MiB,
  /** One file. Hubs cap it at 50 GB, others may not. */
  fileBytes: 2 ** 40,
  /** A token file. Tokens have 37 characters. */
  tokenBytes: 4 * KiB,
  /** Who fetches a file touches it this often. */
  heartbeatMs: 5_000,
  /** A file that was not touched for this long has nobody who fetches it. */
  abandonedMs: 60_000,
  /** Looks again whether another process is done. */
  waitMs: 1_000,
});

export type Limits = Readonly<Record<keyof typeof DEFAULTS, number>>;
