/**
 * Every deadline and limit of transfers in one place. They depend on each other:
 *
 *     metadata 10 s, stall 15 s  >  a write's deadline (network) 10 s  >  a dead connection noticed (network) 3 to 8.5 s
 *     slot turn 10 s  <  unavailable 2 min  <  stuck 10 min
 *
 * so that a peer whose loss is noticed late is not dropped for slowness, and one that waits for its turn is not abandoned.
 */
import { PIECE_BYTES } from "../store/index.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

export const DEFAULTS = Object.freeze({
  // one source
  /** At most requested and unread: 40 MB/s at 100 ms of round trip. */
  windowBytes: 4 * MiB,
  /** Requested before a source's speed is known. */
  firstWindowPieces: 2,
  /** The window follows the speed: what the source delivers in this time, plus one piece. */
  windowMs: 500,
  /** A source with requests that delivers less than `minProgressBytes` in this time is dropped. */
  stallMs: 15_000,
  /** Below 1.1 KB/s a piece would take a quarter of an hour. */
  minProgressBytes: 16 * KiB,
  /** Dialling and negotiating the protocol. */
  connectMs: 10_000,
  /** One page of piece hashes. */
  metadataMs: 10_000,
  /** After this long without metadata another source is asked too. */
  metadataHedgeMs: 1_500,
  /** A stream without contents closes after this. */
  idleStreamMs: 5_000,
  /** A connection without streams closes after this; a new one takes 4 round trips. */
  idleConnectionMs: 30_000,
  /** Unrequested frames: a burst that suffices for a peer with 10 TB and a thousand contents, and for HAVEs after that. */
  chatterBurstBytes: 8 * MiB,
  chatterBytesPerSecond: 2 * MiB,
  /** A small frame counts as this many bytes, because it takes as long to handle. */
  chatterFrameBytes: 512,

  // an HTTP origin
  originRequests: 4,
  /** Deadline for a response's head, and for its bytes, like `stallMs` for peers. */
  originHeadMs: 15_000,
  originRedirects: 5,
  /** A redirect's target is used directly for this long; signed links of model hubs live for an hour. */
  originRedirectMs: 300_000,
  /** A server may send the whole file if it is this small. */
  originWholeBytes: 4 * MiB,
  /** The longest accepted Retry-After. */
  originRetryMaxMs: 600_000,

  // one download
  /** Sources used at once; more are kept in reserve. */
  linksPerDownload: 24,
  /**
   * While other sources wait, a source that sends nothing for `stallMs` makes room. One that sends but completes no piece, or keeps us
   * waiting in its queue, makes room after this many times that. Otherwise as many liars as links could block a download.
   */
  idleStalls: 4,
  /** Sources known at once: a list from the network may be of any length. */
  sourcesPerDownload: 256,
  /** A piece requested this long ago from a source that fell silent may be requested from another too. */
  silentMs: 2_000,
  /** A piece that a source will deliver within this time is not requested from another too. */
  raceMs: 1_500,
  /** A downloader that delivers within this time saves the seeders the pieces it has or will have. */
  quickMs: 1_000,
  /** A source that lost this many races in a row is dropped for a while. */
  lostRaces: 4,
  retryInitialMs: 500,
  retryMaxMs: 30_000,
  /** No source had a missing piece for this long: CONTENT_UNAVAILABLE. */
  unavailableMs: 120_000,
  /** Sources claimed to have pieces, but none arrived for this long. */
  stuckMs: 600_000,
  /** The largest content of unknown size: a terabyte's hashes take 32 MiB. */
  maxSizeBytes: 2 ** 40,

  // all downloads
  /** Pieces that are requested, arriving, being verified or written. */
  memoryBytes: 64 * MiB,
  downloadsAtOnce: 1_024,
  tickMs: 250,
  /** Malformed frames of a peer before it gets no answers any more. */
  malformedUntilBan: 3,

  // uploads
  /** Peers served at once. Each takes two pieces and a stream's queue: 3 MiB. */
  uploadSlots: 8,
  /** After being served for this long, a peer makes room for one that waits. */
  slotTurnMs: 10_000,
  /** A slot is kept during a short pause of its peer. */
  slotLingerMs: 500,
  /** Waiting requests of one peer: four windows. */
  queuedRequests: (4 * 4 * MiB) / PIECE_BYTES,
  /** Contents that one peer may have open. The largest models have a few hundred parts. */
  channelsPerPeer: 1_024,
  /** Streams of a peer: one, and a second while the first is closing. */
  streamsPerPeer: 2,
  /** Peers hear of new pieces in batches, after this delay. */
  haveDelayMs: 20,
  /** Data of a PIECE frame: five make a piece, and one fits into the frame reader's first buffer. */
  dataBytes: 208 * KiB,
});
