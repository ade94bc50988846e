/**
 * Where pieces come from: a peer or an HTTP origin. A download opens a link to each of its sources. A link guarantees only the length of
 * what it delivers; the download verifies it.
 */
import type { ShoalError } from "../lib/index.ts";
import type { PieceSet, ContentMetadata, Root } from "../store/index.ts";

/** A source as plain data that crosses threads. */
export type SourceSpec = PeerSpec | OriginSpec;

export interface PeerSpec {
  kind: "peer";
  peerId: string;
  /** If none, those that the host knows. */
  addresses?: readonly string[] | undefined;
}

export interface OriginSpec {
  kind: "origin";
  /** The content is these ranges of bytes in order; an empty url stands for zeros. */
  ranges: readonly OriginRange[];
}

export interface OriginRange {
  url: string;
  offset: number;
  sizeBytes: number;
}

export interface Source {
  /** A peer's id, or the address of an origin's file, for bans and events. */
  readonly id: string;
  /** Rejects if the source cannot be reached. Closed links report it through the listener. */
  open(
    root: Root,
    listener: LinkListener,
    signal: AbortSignal,
  ): Promise<SourceLink>;
  close(): void;
}

export interface LinkListener {
  /** It has more pieces, or room for more requests. */
  onChange(link: SourceLink): void;
  /** It got these pieces, or expects them. */
  onHave(link: SourceLink, pieces: Iterable<number>, verified: boolean): void;
  /** The link is unusable. Not called for `close()`. */
  onClosed(link: SourceLink, error: ShoalError): void;
}

export interface SourceLink {
  readonly sourceId: string;
  /** As claimed by the source; undefined until then. */
  readonly sizeBytes: number | undefined;
  /** Verified pieces, as claimed by the source; undefined until then. */
  readonly have: PieceSet | undefined;
  /** True if it must read the whole content for them. */
  readonly metadataIsCostly: boolean;
  /** Requests it accepts now. */
  readonly room: number;
  /** It waits for its turn at the source: requests are kept, but not answered yet. */
  readonly waiting: boolean;
  /** The source's speed over all its links; undefined before the first piece. */
  readonly bytesPerSecond: number | undefined;
  readonly outstandingBytes: number;
  /** When data last arrived, ms of the clock; 0: never. */
  readonly lastDataMs: number;
  /** Requested here, perhaps cancelled, and not answered yet. */
  isAsked(piece: number): boolean;
  /** Not verified. `checkSize` throws if the size is impossible. Rejects CONTENT_UNKNOWN if the source has none. */
  metadata(
    checkSize: (sizeBytes: number) => void,
    signal: AbortSignal,
  ): Promise<ContentMetadata>;
  /**
   * The bytes of one piece, `sizeBytes` of them, not verified. Rejects PIECE_MISSING (not available here), BUSY (later), ABORTED, or with
   * the error that closed the link.
   */
  fetch(
    piece: number,
    sizeBytes: number,
    signal: AbortSignal,
  ): Promise<Uint8Array>;
  close(): void;
}

export function sourceIdOf(spec: SourceSpec): string {
  if (spec.kind === "peer") return spec.peerId;
  const first = spec.ranges.find(({ url }) => url !== "");
  if (first === undefined) return "zeros";
  // Without possible secrets.
  const { origin, pathname } = new URL(first.url);
  return origin + pathname;
}
