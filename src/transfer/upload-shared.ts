import type { Clock, EventSink, ShoalError } from "../lib/index.ts";
import type { ContentStore, Root } from "../store/index.ts";
import type { ByteRate, RateMeter } from "./byte-rate.ts";
import type { UploadSlots } from "./upload-slots.ts";

/** What the peers of an Uploads share. */
export interface UploadShared {
  store: ContentStore;
  events: EventSink;
  clock: Clock;
  slots: UploadSlots;
  limit: ByteRate;
  sent: RateMeter;
  /** False if the peer gets none of this content. */
  allow: (peer: string, root: Root) => boolean;
  /** Pieces sent, per content. */
  onSent: (root: Root) => void;
  onMalformed: (peer: string, error: ShoalError) => void;
  slotLingerMs: number;
}
