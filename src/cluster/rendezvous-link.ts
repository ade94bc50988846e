/** A member's link to each rendezvous or member through which it joined: it announces itself there, publishes, and asks for the members. */
import {
  type Clock,
  type EventSink,
  isShoalError,
  ShoalError,
} from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import type { Passed } from "./announcement.ts";
import { askPage } from "./cluster-pages.ts";
import type { KnownCluster, Taken } from "./known-cluster.ts";
import { ANNOUNCE, PUBLISH_CLUSTER, SHARD_LOADED } from "./protocol.ts";
import type { HolderRecord } from "./records.ts";

export const CALL_TIMEOUT_MS = 5_000;
/** The error codes of a call when the other side is gone. */
const LOST = ["STREAM_CLOSED", "DIAL_FAILED", "DEADLINE", "ABORTED"] as const;

export interface RendezvousLinkOptions {
  commands: Commands;
  events: EventSink;
  clock: Clock;
  known: KnownCluster;
  /** A requested record arrived. */
  onLearned: (taken: Taken, from: string) => void;
  /** Everything requested has arrived. */
  onPulled: () => void;
}

export class RendezvousLink {
  readonly #options: RendezvousLinkOptions;
  readonly #peers = new Set<string>();
  readonly #pulling = new Set<string>();

  constructor(options: RendezvousLinkOptions) {
    this.#options = options;
  }

  get peers(): string[] {
    return [...this.#peers];
  }

  has(peer: string): boolean {
    return this.#peers.has(peer);
  }

  add(peer: string): void {
    this.#peers.add(peer);
  }

  delete(peer: string): void {
    this.#peers.delete(peer);
  }

  /** Resolves when all reachable ones have confirmed it, or rejects with the first refusal. */
  async announce(record: HolderRecord): Promise<void> {
    await Promise.all(
      this.peers.map(async (peer) => {
        try {
          await this.announceTo(peer, record);
        } catch (error) {
          // A lost one refuses nothing: it learns of this when it is back, the others from the neighbours.
          if (!isShoalError(error, ...LOST)) throw error;
          const { code, message } = error;
          const what = `a rendezvous did not confirm: ${message}`;
          this.#options.events.debug("CLUSTER", what, { peer, code });
        }
      }),
    );
  }

  async announceTo(peer: string, record: HolderRecord): Promise<void> {
    const { known, commands, clock } = this.#options;
    const { sealed, announcement } = record;
    const command = announcement.state === "ready" ? SHARD_LOADED : ANNOUNCE;
    const askedMs = clock.now();
    const { nowMs } = await commands.call(
      peer,
      command.name,
      { cluster: known.name, sealed },
      command.result,
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    known.heardClock(peer, nowMs, clock.now() - askedMs);
  }

  /** The cluster's record, to all. */
  async publish(): Promise<void> {
    await Promise.all(this.peers.map((peer) => this.publishTo(peer)));
  }

  async publishTo(peer: string): Promise<void> {
    const { known, commands } = this.#options;
    const record = known.publishedSealed;
    if (record === undefined) return;
    const answer = await commands.call(
      peer,
      PUBLISH_CLUSTER.name,
      { cluster: known.name, record },
      PUBLISH_CLUSTER.result,
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    await known.takePublished(answer.record);
  }

  /** Asks for every record there is. */
  async pull(peer: string): Promise<void> {
    const { known, commands, clock, onPulled } = this.#options;
    for (let offset = 0; ;) {
      const askedMs = clock.now();
      const { records, record, total, nowMs } = await askPage(
        commands,
        peer,
        { cluster: known.name, subscribe: this.has(peer), offset },
        { timeoutMs: CALL_TIMEOUT_MS },
      );
      known.heardClock(peer, nowMs, clock.now() - askedMs);
      for (const passed of records) await this.#learn(passed, peer);
      if (record !== null) await known.takePublished(record);
      offset += records.length;
      if (records.length === 0 || offset >= total) break;
    }
    onPulled();
  }

  /** Never rejects. One at a time of each peer: hints may come in bursts. */
  async pullQuietly(peer: string): Promise<void> {
    if (this.#pulling.has(peer)) return;
    this.#pulling.add(peer);
    try {
      await this.pull(peer);
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      const what = `a member did not send its records: ${message}`;
      this.#options.events.debug("CLUSTER", what, { peer, code });
    } finally {
      this.#pulling.delete(peer);
    }
  }

  async #learn(passed: Passed, from: string): Promise<void> {
    const { known, events, onLearned } = this.#options;
    try {
      onLearned(await known.takePassed(passed), from);
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      events.warn("CLUSTER", message, { code });
    }
  }
}
