/** The sources of all downloads and their states: banned, in back-off, or usable. */
import {
  backoffMs,
  type ShoalError,
  type Clock,
  type EventSink,
} from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import { HttpOrigin, type OriginOptions } from "./http-origin.ts";
import type { PieceBuffers } from "./piece-buffers.ts";
import { PeerSource } from "./peer-source.ts";
import type { Source, SourceSpec } from "./source.ts";
import { DEFAULTS } from "./defaults.ts";
import type { Root } from "../store/index.ts";

/** Sources remembered; the least recently used go first, bans last. So inventing names by the thousand fills no memory. */
const MAX_SOURCES = 4_096;

export interface Standing {
  readonly id: string;
  /** For the session. */
  banned: ShoalError | undefined;
  /** In a row. */
  failures: number;
  /** Not before this. */
  retryAtMs: number;
}

export interface Ban {
  source: string;
  root: Root;
  reason: ShoalError;
}

export interface SourcePoolOptions {
  host: Pick<Host, "openStream" | "disconnect">;
  clock: Clock;
  buffers: PieceBuffers;
  events: EventSink;
  stallMs?: number | undefined;
  connectMs?: number | undefined;
  idleStreamMs?: number | undefined;
  origin?: OriginOptions | undefined;
  onBan?: ((ban: Ban) => void) | undefined;
}

export class SourcePool {
  readonly #options: SourcePoolOptions;
  readonly #standings = new Map<string, Standing>();
  readonly #peers = new Map<string, PeerSource>();

  constructor(options: SourcePoolOptions) {
    this.#options = options;
  }

  standing(id: string): Standing {
    const known = this.#standings.get(id);
    const standing = known ?? {
      id,
      banned: undefined,
      failures: 0,
      retryAtMs: 0,
    };
    this.#standings.delete(id);
    this.#standings.set(id, standing);
    if (this.#standings.size > MAX_SOURCES) {
      const others = [...this.#standings.values()].slice(0, -1);
      const oldest = others.find((s) => s.banned === undefined) ?? others[0];
      if (oldest !== undefined) this.#standings.delete(oldest.id);
    }
    return standing;
  }

  /** Peers are shared by all downloads. */
  source(spec: SourceSpec): Source {
    const { clock } = this.#options;
    if (spec.kind === "origin") {
      return new HttpOrigin(spec, { clock, ...this.#options.origin });
    }
    let peer = this.#peers.get(spec.peerId);
    if (peer === undefined) {
      peer = new PeerSource(spec, this.#options);
      this.#makeRoom();
      this.#peers.set(spec.peerId, peer);
    } else {
      peer.learn(spec);
    }
    return peer;
  }

  /** A download that still uses a forgotten source continues; the next download would open a new stream. */
  #makeRoom(): void {
    if (this.#peers.size < MAX_SOURCES) return;
    for (const [id, peer] of this.#peers) {
      if (peer.isOpen) continue;
      this.#peers.delete(id);
      return;
    }
  }

  /** For the session, after bad bytes or a broken protocol. The peer's later frames are ignored. */
  ban(id: string, root: Root, reason: ShoalError): void {
    const standing = this.standing(id);
    if (standing.banned !== undefined) return;
    standing.banned = reason;
    this.#options.events.warn("TORRENT", `${id} is banned: ${reason.message}`, {
      source: id,
      root,
      code: reason.code,
    });
    this.#options.onBan?.({ source: id, root, reason });
    if (this.#peers.delete(id)) {
      // Not inside the call that reported it, which may be a frame that the connection is just delivering.
      setImmediate(() => void this.#options.host.disconnect(id, reason));
    }
  }

  /** Used again after a back-off. */
  failed(id: string, error: ShoalError): void {
    const { clock, events } = this.#options;
    const standing = this.standing(id);
    const { retryAfterMs } = error.details;
    const waitMs =
      typeof retryAfterMs === "number"
        ? retryAfterMs
        : backoffMs(standing.failures, {
            initialMs: DEFAULTS.retryInitialMs,
            maxMs: DEFAULTS.retryMaxMs,
          });
    // Several downloads may report the same failure.
    if (clock.now() >= standing.retryAtMs) {
      standing.failures++;
      // Peers come and go, but an origin was given by the operator and may be misspelt. Reported once, until it delivers.
      if (standing.failures === 1 && /^https?:/.test(id))
        events.warn("TORRENT", `${id} delivers nothing: ${error.message}`, {
          source: id,
          code: error.code,
        });
    }
    standing.retryAtMs = Math.max(standing.retryAtMs, clock.now() + waitMs);
  }

  delivered(id: string): void {
    this.standing(id).failures = 0;
  }

  bans(): { source: string; code: string; reason: string }[] {
    return [...this.#standings.values()].flatMap(({ id, banned }) =>
      banned === undefined
        ? []
        : [{ source: id, code: banned.code, reason: banned.message }],
    );
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close();
  }
}

/** Faults of only hostile or broken sources, which will not be better the next time. */
export function isHostile(error: ShoalError): boolean {
  return (
    error.code === "ORIGIN_INVALID" ||
    error.code === "PIECE_INVALID" ||
    error.code === "CONTENT_INVALID" ||
    error.code === "FRAME_MALFORMED" ||
    error.code === "FRAME_TOO_LARGE"
  );
}
