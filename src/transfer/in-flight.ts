/** The unanswered requests of one download: one per piece, more if the sources are slow. */
import type { SourceState } from "./download-links.ts";
import type { SourceLink } from "./source.ts";
import { DEFAULTS } from "./defaults.ts";

export interface PieceRequest {
  attached: SourceState;
  link: SourceLink;
  askedMs: number;
  controller: AbortController;
}

export class InFlight {
  readonly #requests = new Map<number, PieceRequest[]>();

  /** Of pieces. */
  get size(): number {
    return this.#requests.size;
  }

  /** Whether nobody else was asked for this piece. */
  add(piece: number, request: PieceRequest): boolean {
    const requests = this.#requests.get(piece) ?? [];
    this.#requests.set(piece, [...requests, request]);
    return requests.length === 0;
  }

  /** Whether nobody is left who was asked for the piece. */
  remove(piece: number, request: PieceRequest | undefined): boolean {
    const left = (this.#requests.get(piece) ?? []).filter((a) => a !== request);
    if (left.length > 0) this.#requests.set(piece, left);
    else this.#requests.delete(piece);
    return left.length === 0;
  }

  /** All sources that were asked for a piece that has arrived. */
  take(piece: number): PieceRequest[] {
    const requests = this.#requests.get(piece) ?? [];
    this.#requests.delete(piece);
    return requests;
  }

  /**
   * If nothing is open for this source: a piece in flight at another source that waits, fell silent, or will take much longer. So a
   * download never depends on the slowest source or on two that never delivered.
   */
  second(
    attached: SourceState,
    link: SourceLink,
    now: number,
    except: ReadonlySet<number>,
  ): number | undefined {
    for (const [piece, requests] of this.#requests) {
      const [first, second] = requests;
      if (first === undefined || requests.length > 2) continue;
      if (requests.some((request) => request.attached === attached)) continue;
      if (except.has(piece)) continue;
      if (link.have?.has(piece) !== true || link.isAsked(piece)) continue;
      const inVain = !first.attached.proven && second?.attached.proven !== true;
      if (second !== undefined && !(attached.proven && inVain)) continue;
      if (isSlower(first, link, now)) return piece;
    }
    return undefined;
  }
}

/** Whether `link` would deliver the piece well before the source it was requested from. */
function isSlower(first: PieceRequest, link: SourceLink, now: number): boolean {
  if (first.link.waiting) return true;
  const heardMs = Math.max(first.askedMs, first.link.lastDataMs);
  if (now - heardMs > DEFAULTS.silentMs) return true;
  const slow = first.link.bytesPerSecond;
  const fast = link.bytesPerSecond;
  if (slow === undefined || fast === undefined) return false;
  const leftMs = (first.link.outstandingBytes / slow) * 1000;
  const otherMs = (link.outstandingBytes / fast) * 1000;
  return leftMs > DEFAULTS.raceMs && leftMs > 3 * otherMs;
}
