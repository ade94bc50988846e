/**
 * A member's exchange with one rendezvous: it lists its contents there and remembers what the rendezvous knows about others, for when it no
 * longer answers. One exchange runs after the other, each with the state at its beginning.
 */
import {
  backoffMs,
  type Clock,
  type EventSink,
  isShoalError,
  ShoalError,
} from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import type { Endpoint, Listing, Told } from "./catalog.ts";
import { LISTINGS_PER_MESSAGE, SYNC_TORRENTS } from "./protocol.ts";
import type { Root } from "../store/index.ts";

export interface SyncLinkOptions {
  commands: Commands;
  events: EventSink;
  cluster: string;
  /** Where this member's transfers are answered. */
  endpoint: () => Endpoint;
  /** What is here now. */
  listings: () => readonly Listing[];
  clock: Clock;
}

export const SYNC_DEFAULTS = Object.freeze({
  callTimeoutMs: 5_000,
  /** A listing that a rendezvous did not accept is repeated. */
  retry: { initialMs: 1_000, maxMs: 60_000 },
  /** A member in the middle of a download changes every second, so it asks for others' contents less often. */
  tellMs: 15_000,
  /** By a member that does not change itself. */
  askMs: 60_000,
  /** Others' contents remembered per rendezvous. */
  remembered: 5_000,
});

/** What is known about others' content. */
export interface Remembered {
  sizeBytes: number;
  name: string;
  holders: readonly Endpoint[];
}

export class SyncLink {
  readonly #rendezvous: string;
  readonly #options: SyncLinkOptions;
  #remembered = new Map<Root, Remembered>();
  #version: number | undefined;
  #askedMs: number | undefined;
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;
  #failures = 0;
  /** The last accepted listing. */
  #taken: string | undefined;
  #cancelRetry: (() => void) | undefined;
  #isOver = false;

  constructor(rendezvous: string, options: SyncLinkOptions) {
    this.#rendezvous = rendezvous;
    this.#options = options;
  }

  /** What it said about this content. */
  get(root: Root): Remembered | undefined {
    return this.#remembered.get(root);
  }

  /** Lists everything there. Rejects with its answer, and tries again after a while unless the peer has no catalog. */
  sync(): Promise<void> {
    // A running exchange may have read the state before the change.
    this.#next ??= this.#last
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#sync();
      });
    this.#last = this.#next;
    return this.#next;
  }

  /** The same for a change: a failure is reported once until it works again. Nothing is sent if the listing stays the same. */
  async change(): Promise<void> {
    if (this.#next === undefined && this.#taken === this.#said()) return;
    try {
      await this.sync();
    } catch (error) {
      if (this.#failures !== 1 || this.#isOver) return;
      const { code, message } = ShoalError.from(error);
      this.#options.events.warn(
        "TORRENT_SYNC",
        `the rendezvous did not accept the change: ${message}`,
        { peer: this.#rendezvous, code },
      );
    }
  }

  /** Asks for news. Never rejects: it asks again later. */
  async ask(): Promise<void> {
    if (this.#isOver || this.#next !== undefined) return;
    try {
      const tell = { offset: 0, unless: this.#version };
      const { told, version } = await this.#call(false, [], tell);
      if (told !== null) await this.#remember(told, version);
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      const what = `no answer to SYNC_TORRENTS: ${message}`;
      this.#options.events.debug("MSG", what, { peer: this.#rendezvous, code });
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    this.#cancelRetry?.();
    await this.#last.catch(() => {});
  }

  async #sync(): Promise<void> {
    if (this.#isOver) return;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    try {
      const said = this.#said();
      await this.#exchange();
      this.#taken = said;
      this.#failures = 0;
    } catch (error) {
      this.#taken = undefined;
      this.#failures++;
      if (!this.#isOver && !isShoalError(error, "COMMAND_UNKNOWN"))
        this.#retryLater();
      throw error;
    }
  }

  #retryLater(): void {
    const ms = backoffMs(this.#failures - 1, SYNC_DEFAULTS.retry);
    this.#cancelRetry = this.#options.clock.after(ms, () => {
      void this.change();
    });
  }

  #said(): string {
    const { endpoint, listings } = this.#options;
    return JSON.stringify([endpoint(), listings()]);
  }

  async #exchange(): Promise<void> {
    const { events, listings, clock } = this.#options;
    const all = listings();
    const pages = Math.max(1, Math.ceil(all.length / LISTINGS_PER_MESSAGE));
    const isTold =
      this.#askedMs === undefined ||
      clock.now() - this.#askedMs >= SYNC_DEFAULTS.tellMs;
    let answer = { listed: 0, known: 0 };
    for (let page = 0; page < pages; page++) {
      const at = page * LISTINGS_PER_MESSAGE;
      const contents = all.slice(at, at + LISTINGS_PER_MESSAGE);
      const isLast = page === pages - 1;
      const { told, version, ...counts } = await this.#call(
        page === 0,
        contents,
        isTold && isLast ? { offset: 0, unless: this.#version } : null,
      );
      answer = counts;
      if (told !== null) await this.#remember(told, version);
    }
    if (isTold) this.#askedMs = clock.now();
    const { listed, known } = answer;
    const fields = { peer: this.#rendezvous, listed, known };
    events.info(
      "TORRENT_SYNC",
      `${listed} contents listed at the rendezvous, which knows ${known}`,
      fields,
    );
    if (listed < all.length)
      events.warn(
        "TORRENT_SYNC",
        `${all.length - listed} contents are not listed: others list them with another size`,
        fields,
      );
  }

  async #remember(first: Told, version: number): Promise<void> {
    const remembered = new Map<Root, Remembered>();
    let told: Told = first;
    for (let offset = 0; ;) {
      const { peers } = told;
      for (const { root, sizeBytes, name, holders } of told.contents) {
        if (remembered.size >= SYNC_DEFAULTS.remembered) break;
        remembered.set(root, {
          sizeBytes,
          name,
          holders: holders.flatMap((place) => peers[place] ?? []),
        });
      }
      offset += told.contents.length;
      const isAll = told.contents.length === 0 || offset >= told.total;
      if (isAll || remembered.size >= SYNC_DEFAULTS.remembered) break;
      const next = await this.#call(false, [], { offset });
      if (next.told === null) break;
      told = next.told;
    }
    this.#remembered = remembered;
    this.#version = version;
  }

  async #call(
    first: boolean,
    contents: readonly Listing[],
    tell: { offset: number; unless?: number | undefined } | null,
  ) {
    const { commands, cluster, endpoint } = this.#options;
    return await commands.call(
      this.#rendezvous,
      SYNC_TORRENTS.name,
      { cluster, endpoint: endpoint(), first, contents, tell },
      SYNC_TORRENTS.result,
      { timeoutMs: SYNC_DEFAULTS.callTimeoutMs },
    );
  }
}
