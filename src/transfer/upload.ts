/**
 * Shares the contents of a store, whole or in part, with the peers that request them: some at once, the others in turns, under a limit of
 * bytes per second. Memory is bounded per peer (upload-peer.ts) and by the slots.
 */
import {
  ShoalError,
  systemClock,
  type Clock,
  type EventSink,
} from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import { ByteRate, RateMeter } from "./byte-rate.ts";
import { DEFAULTS } from "./defaults.ts";
import type { ContentStore, Root } from "../store/index.ts";
import { UploadPeer } from "./upload-peer.ts";
import type { UploadShared } from "./upload-shared.ts";
import { UploadSlots } from "./upload-slots.ts";
import { MAX_ANSWER_BYTES, MAX_ASK_BYTES, TORRENT_PROTOCOL } from "./wire.ts";

export interface UploadOptions {
  host: Pick<Host, "handleStreams" | "disconnect">;
  store: ContentStore;
  events: EventSink;
  clock?: Clock;
  /** Peers served at once. */
  slots?: number | undefined;
  bytesPerSecond?: number | undefined;
  slotTurnMs?: number | undefined;
  slotLingerMs?: number | undefined;
  /** Who may get what: a private cluster's contents are for its members. */
  allow?: ((peer: string, root: Root) => boolean) | undefined;
}

export interface UploadStats {
  bytes: number;
  bytesPerSecond: number;
  /** Streams open, served now, waiting for a slot. */
  peers: number;
  served: number;
  waiting: number;
  /** Pieces sent since the start, by content. */
  pieces: Readonly<Record<Root, number>>;
}

/** Peers with invalid requests are remembered up to this many; the oldest go first. */
const MAX_MALFORMED = 4_096;

export class Uploads {
  readonly #options: UploadOptions;
  readonly #shared: UploadShared;
  readonly #peers = new Set<UploadPeer>();
  readonly #pieces = new Map<Root, number>();
  readonly #malformed = new Map<string, number>();
  readonly #expected = new Map<Root, number[]>();
  #cancelUpdate: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: UploadOptions) {
    const {
      store,
      events,
      clock = systemClock,
      slots = DEFAULTS.uploadSlots,
      bytesPerSecond,
      slotTurnMs = DEFAULTS.slotTurnMs,
      slotLingerMs = DEFAULTS.slotLingerMs,
      allow = () => true,
    } = options;
    this.#options = options;
    this.#shared = {
      store,
      events,
      clock,
      slots: new UploadSlots({ slots, turnMs: slotTurnMs, clock }),
      limit: new ByteRate(clock, bytesPerSecond),
      sent: new RateMeter(clock),
      allow,
      onSent: (root) =>
        this.#pieces.set(root, (this.#pieces.get(root) ?? 0) + 1),
      onMalformed: (peer, error) => this.#onMalformed(peer, error),
      slotLingerMs,
    };
  }

  start(): void {
    this.#unsubscribe = this.#options.store.onChange(() => this.#updateSoon());
    this.#options.host.handleStreams(
      TORRENT_PROTOCOL,
      (stream) => {
        if (this.#stopped || this.#isBanned(stream.peer)) {
          const { peer } = stream;
          const refused = new ShoalError("SOURCE_BANNED", `${peer} is refused`);
          stream.abort(refused);
          // Otherwise it would open another, and another.
          if (!this.#stopped) void this.#options.host.disconnect(peer, refused);
          return;
        }
        const peer = new UploadPeer(stream, this.#shared);
        this.#peers.add(peer);
        stream.onClose(() => this.#peers.delete(peer));
      },
      {
        maxFrameBytes: MAX_ASK_BYTES,
        maxSendFrameBytes: MAX_ANSWER_BYTES,
        maxStreamsPerPeer: DEFAULTS.streamsPerPeer,
      },
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#cancelUpdate?.();
    const stopping = new ShoalError("ABORTED", "uploads are stopping");
    for (const peer of this.#peers) peer.abort(stopping);
    this.#peers.clear();
  }

  /** Tells interested peers that this piece is being downloaded here, so that they request others. */
  expect(root: Root, piece: number): void {
    if (this.#peers.size === 0) return;
    const pieces = this.#expected.get(root) ?? [];
    pieces.push(piece);
    this.#expected.set(root, pieces);
    this.#updateSoon();
  }

  /** The permissions changed: tells waiting peers. */
  allowChanged(): void {
    this.#updateSoon();
  }

  setLimits(limits: {
    bytesPerSecond?: number | undefined;
    slots?: number | undefined;
  }): void {
    if ("bytesPerSecond" in limits)
      this.#shared.limit.bytesPerSecond = limits.bytesPerSecond;
    if (limits.slots !== undefined) this.#shared.slots.slots = limits.slots;
  }

  stats(): UploadStats {
    const { sent, slots } = this.#shared;
    return {
      bytes: sent.totalBytes,
      bytesPerSecond: sent.bytesPerSecond,
      peers: this.#peers.size,
      served: slots.served,
      waiting: slots.waiting,
      pieces: Object.fromEntries(this.#pieces),
    };
  }

  #updateSoon(): void {
    this.#cancelUpdate ??= this.#shared.clock.after(
      DEFAULTS.haveDelayMs,
      () => {
        this.#cancelUpdate = undefined;
        for (const peer of this.#peers) {
          for (const [root, pieces] of this.#expected)
            peer.expect(root, pieces);
          peer.update();
        }
        this.#expected.clear();
      },
    );
  }

  #isBanned(peer: string): boolean {
    return (this.#malformed.get(peer) ?? 0) >= DEFAULTS.malformedUntilBan;
  }

  #onMalformed(peer: string, error: ShoalError): void {
    const count = (this.#malformed.get(peer) ?? 0) + 1;
    this.#malformed.delete(peer); // to the end of the line
    this.#malformed.set(peer, count);
    const [oldest] = this.#malformed.keys();
    if (this.#malformed.size > MAX_MALFORMED && oldest !== undefined)
      this.#malformed.delete(oldest);
    this.#shared.events.warn(
      "TORRENT",
      `invalid request from ${peer}: ${error.message}`,
      { peer, banned: this.#isBanned(peer) },
    );
  }
}
