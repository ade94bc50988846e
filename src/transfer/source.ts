/**
 * Where pieces come from: a peer of the swarm, or an HTTP origin. A download opens a link to each of its sources. What a link
 * delivers is only of the right length; the download verifies it.
 */
import type { ShoalError } from "../lib/index.ts";
import type { PieceSet, ContentMetadata, Root } from "../store/index.ts";

/** A source as plain data: it crosses threads. */
export type SourceSpec = PeerSpec | OriginSpec;

export interface PeerSpec {
  kind: "peer";
  peerId: string;
  /** None: those the host knows of. */
  addresses?: readonly string[] | undefined;
}

export interface OriginSpec {
  kind: "origin";
  /** The content is these runs of bytes, one after the other; an empty url stands for zeros. */
  ranges: readonly OriginRange[];
}

export interface OriginRange {
  url: string;
  offset: number;
  sizeBytes: number;
}

export interface Source {
  /** A peer's id, or the address of an origin's file: what is banned, and what events name. */
  readonly id: string;
  /** Rejects where the source cannot be reached. Closed links say so through the listener. */
  open(
    root: Root,
    listener: LinkListener,
    signal: AbortSignal,
  ): Promise<SourceLink>;
  close(): void;
}

export interface LinkListener {
  /** It has more, or room for more requests. */
  onChange(link: SourceLink): void;
  /** These pieces came to what it has, or are expected to. */
  onHave(link: SourceLink, pieces: Iterable<number>, verified: boolean): void;
  /** The link is of no more use. Not called for `close()`. */
  onClosed(link: SourceLink, error: ShoalError): void;
}

export interface SourceLink {
  readonly sourceId: string;
  /** As the source says; undefined until it did. */
  readonly sizeBytes: number | undefined;
  /** Verified pieces, as the source says; undefined until it did. */
  readonly have: PieceSet | undefined;
  /** True: it has to read all of the content for it. */
  readonly metadataIsCostly: boolean;
  /** Requests it takes now. */
  readonly room: number;
  /** It waits for its turn at the source: requests are kept, but not answered yet. */
  readonly waiting: boolean;
  /** Of the source, over all its links; undefined before the first piece. */
  readonly bytesPerSecond: number | undefined;
  readonly outstandingBytes: number;
  /** When data last came, ms of the clock; 0: never. */
  readonly lastDataMs: number;
  /** Asked for here, perhaps cancelled, and not answered yet. */
  isAsked(piece: number): boolean;
  /** Not verified. `checkSize` throws where the size cannot be. Rejects CONTENT_UNKNOWN where the source has none. */
  metadata(
    checkSize: (sizeBytes: number) => void,
    signal: AbortSignal,
  ): Promise<ContentMetadata>;
  /**
   * The bytes of one piece, `sizeBytes` of them, not verified. Rejects PIECE_MISSING (not to be had here), BUSY (later), ABORTED, or with
   * what closed the link.
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
  // Without what may be secret.
  const { origin, pathname } = new URL(first.url);
  return origin + pathname;
}
