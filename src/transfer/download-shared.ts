import type { Clock, EventSink } from "../lib/index.ts";
import type { ContentStore, Root } from "../store/index.ts";
import type { ByteRate, RateMeter } from "./byte-rate.ts";
import type { PieceBuffers } from "./piece-buffers.ts";
import type { SourcePool } from "./source-pool.ts";

/** What all downloads share. */
export interface DownloadShared {
  store: ContentStore;
  pool: SourcePool;
  buffers: PieceBuffers;
  clock: Clock;
  events: EventSink;
  random: () => number;
  stallMs: number;
  limit: ByteRate;
  memory: { usedBytes: number; maxBytes: number };
  received: RateMeter;
  /** Something may be requested: check soon. */
  pump: () => void;
  /** A piece was requested. */
  onAsked: (root: Root, piece: number) => void;
}
