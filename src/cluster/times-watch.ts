/**
 * Keeps the times current by which others choose their routes. An idle QUIC connection beats every 15 s only, so each round sends a heartbeat over
 * every link to another holder. If a link or a token's compute takes another time than announced, the node announces it without waiting for the
 * next renewal.
 */
import type { Clock } from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import type { OwnLink } from "./own-links.ts";

export const TIMES_WATCH = Object.freeze({
  /** Three rounds fit into the time whose least round trip counts, so one late echo does not make a link slow. */
  roundMs: 4_000,
  /** An echo that takes longer counts in the next round. */
  echoMs: 2_000,
  /** Peers in a round: as many links as two shards announce. */
  peers: 32,
  /** Rounds without an announcement after one: a time that changes all the time must not become the cluster's traffic. */
  restRounds: 1,
});

export interface TimesWatchOptions {
  host: Pick<Host, "ping">;
  clock: Clock;
  /** To other holders; none while this node holds nothing. */
  links: () => readonly OwnLink[];
  /** A link or a shard takes another time than announced. */
  haveChanged: () => boolean;
  announce: () => void;
}

export class TimesWatch {
  readonly #options: TimesWatchOptions;
  #rests = 0;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: TimesWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock } = this.#options;
    this.#cancel = clock.after(TIMES_WATCH.roundMs, () => {
      void this.#round().finally(() => {
        if (!this.#stopped) this.start();
      });
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /** Never rejects: an echo that fails is a connection that ends, and whoever watches connections hears of it. */
  async #round(): Promise<void> {
    const { host, links, haveChanged, announce } = this.#options;
    const options = { timeoutMs: TIMES_WATCH.echoMs };
    const peers = links().slice(0, TIMES_WATCH.peers);
    await Promise.allSettled(peers.map(({ peer }) => host.ping(peer, options)));
    if (this.#stopped) return;
    if (this.#rests > 0) this.#rests--;
    else if (haveChanged()) {
      this.#rests = TIMES_WATCH.restRounds;
      announce();
    }
  }
}
