/**
 * Every deadline and limit of transfers in one place. They lean on each other:
 *
 *     metadata 10 s, stall 15 s  >  a write's deadline (network) 10 s  >  a dead connection noticed (network) 3 to 8.5 s
 *     slot turn 10 s  <  unavailable 2 min  <  stuck 10 min
 *
 * so that a peer which is only slow to be noticed is not dropped for it, and one that waits for its turn is not given up.
 */
import { PIECE_BYTES } from "../store/index.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

export const DEFAULTS = Object.freeze({
  // one source
  /** Asked for and unread at most: 40 MB/s at 100 ms of round trip. */
  windowBytes: 4 * MiB,
  /** Asked for before a source's speed is known. */
  firstWindowPieces: 2,
  /** The window follows the speed: what the source delivers in this time, and a piece. */
  windowMs: 500,
  /** A source with requests that delivers less than `minProgressBytes` in this time is dropped. */
  stallMs: 15_000,
  /** Below 1.1 KB/s a piece would take a quarter of an hour. */
  minProgressBytes: 16 * KiB,
  /** Dialing, the protocol's negotiation. */
  connectMs: 10_000,
  /** One page of piece hashes. */
  metadataMs: 10_000,
  /** After this long without metadata another source is asked as well. */
  metadataHedgeMs: 1_500,
  /** No content, no stream. */
  idleStreamMs: 5_000,
  /** No stream, no connection: a new one takes 4 round trips. */
  idleConnectionMs: 30_000,
  /** Frames that bring nothing that was asked for: a burst for what a peer of 10 TB and a thousand contents has, and HAVEs after that. */
  chatterBurstBytes: 8 * MiB,
  chatterBytesPerSecond: 2 * MiB,
  /** A small frame counts as this much: it takes as long to handle. */
  chatterFrameBytes: 512,

  // an HTTP origin
  originRequests: 4,
  /** A response's head, and a response's bytes as `stallMs` has it for peers. */
  originHeadMs: 15_000,
  originRedirects: 5,
  /** A redirect's target is used directly for this long: signed links of model hubs live for an hour. */
  originRedirectMs: 300_000,
  /** A server that sends all of a file may, if the file is this small. */
  originWholeBytes: 4 * MiB,
  /** Retry-After may ask for no more. */
  originRetryMaxMs: 600_000,

  // one download
  /** Sources used at once; more are kept in reserve. */
  linksPerDownload: 24,
  /**
   * While other sources wait to be used, one that sends nothing for `stallMs` makes room, and one that sends but completes no piece, or keeps us
   * in its line, after this many times that. Else as many liars as links would be all that is ever asked.
   */
  idleStalls: 4,
  /** Sources known at once: a list from the network may be of any length. */
  sourcesPerDownload: 256,
  /** A piece asked for this long ago from a source that has fallen silent may be asked from another as well. */
  silentMs: 2_000,
  /** A piece that will take a source less than this is not asked from another as well. */
  raceMs: 1_500,
  /** A downloader that delivers within this time spares the seeders the pieces it has or will have. */
  quickMs: 1_000,
  /** A source that came last in so many races in a row is dropped for a while. */
  lostRaces: 4,
  retryInitialMs: 500,
  retryMaxMs: 30_000,
  /** No source had a missing piece for this long: CONTENT_UNAVAILABLE. */
  unavailableMs: 120_000,
  /** Sources claimed to have pieces and none arrived for this long. */
  stuckMs: 600_000,
  /** Contents of unknown size may not be larger: a terabyte's hashes take 32 MiB. */
  maxSizeBytes: 2 ** 40,

  // all downloads
  /** Pieces that are asked for, arrive, are verified or written. */
  memoryBytes: 64 * MiB,
  downloadsAtOnce: 1_024,
  tickMs: 250,
  /** Malformed frames of a peer until nothing of it is answered any more. */
  malformedUntilBan: 3,

  // uploads
  /** Peers served at once. Each holds two pieces and a stream's queue: 3 MiB. */
  uploadSlots: 8,
  /** Served longer than this, a peer makes room for one that waits. */
  slotTurnMs: 10_000,
  /** A slot is kept over a pause of its peer. */
  slotLingerMs: 500,
  /** Requests of one peer that wait: four windows. */
  queuedRequests: (4 * 4 * MiB) / PIECE_BYTES,
  /** Contents one peer may have open: the parts of the largest models are a few hundred. */
  channelsPerPeer: 1_024,
  /** One, and a second while the first is dying. */
  streamsPerPeer: 2,
  /** Peers are told of new pieces after this long, together. */
  haveDelayMs: 20,
  /** Data of a PIECE frame: five make a piece, and one fits the frame reader's first buffer. */
  dataBytes: 208 * KiB,
});
