/** Serves all clusters that a gateway's bootstraps tell of: it asks them every few seconds. */
import { LIST_CLUSTERS } from "../cluster/index.ts";
import {
  type Clock,
  type EventSink,
  isShoalError,
  ShoalError,
} from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import type { ServedClusters } from "./served-clusters.ts";

export const FINDING = Object.freeze({
  everyMs: 5_000,
  callMs: 5_000,
  /** A cluster that nobody tells of any more, and that has no member, is still served for so long: a rendezvous that restarts knows none at first. */
  keptMs: 60_000,
  /** Each takes a process for its vocabulary, with the vocabulary in memory. */
  most: 32,
  /** Of 64 clusters. */
  pages: 16,
});

export interface ClusterFinderOptions {
  commands: Pick<Commands, "call">;
  events: EventSink;
  clock: Clock;
  clusters: Pick<
    ServedClusters,
    "names" | "membersOf" | "open" | "close" | "through"
  >;
}

export class ClusterFinder {
  readonly #options: ClusterFinderOptions;
  /** When somebody last told of it. */
  readonly #toldMs = new Map<string, number>();
  #hasTooMany = false;
  #looking: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: ClusterFinderOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(FINDING.everyMs, () => {
      void this.look().finally(() => this.start());
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#looking;
  }

  /** Asks now. Never rejects. */
  async look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { clock, clusters } = this.#options;
    const peers = clusters.through();
    const answers = await Promise.all(peers.map((peer) => this.#ask(peer)));
    const told = answers.filter((names) => names !== undefined);
    // Who answers nothing tells of no end either.
    if (told.length === 0 || this.#stopped) return;
    const nowMs = clock.now();
    for (const name of told.flat()) this.#toldMs.set(name, nowMs);
    await this.#closeGone(nowMs);
    await this.#openNew();
  }

  async #closeGone(nowMs: number): Promise<void> {
    const { clusters, events } = this.#options;
    for (const [name, toldMs] of this.#toldMs) {
      if (nowMs - toldMs < FINDING.keptMs) continue;
      if (clusters.membersOf(name) > 0) continue;
      this.#toldMs.delete(name);
      if (!clusters.names().includes(name)) continue;
      events.info("CLUSTER", "a cluster is gone", { cluster: name });
      await clusters.close(name);
    }
  }

  async #openNew(): Promise<void> {
    const { clusters, events } = this.#options;
    const served = clusters.names();
    const fresh = [...this.#toldMs.keys()].filter(
      (name) => !served.includes(name),
    );
    const room = Math.max(0, FINDING.most - served.length);
    if (fresh.length > room && !this.#hasTooMany)
      events.warn("CLUSTER", "there are more clusters than can be served", {
        served: FINDING.most,
        more: fresh.length - room,
      });
    this.#hasTooMany = fresh.length > room;
    for (const name of fresh.slice(0, room)) {
      if (this.#stopped) return;
      events.info("CLUSTER", "a cluster was found", { cluster: name });
      await clusters.open(name);
    }
  }

  /** All that a peer tells of; undefined if it does not answer. */
  async #ask(peer: string): Promise<string[] | undefined> {
    const { commands, events } = this.#options;
    const { name, result } = LIST_CLUSTERS;
    const names: string[] = [];
    try {
      for (let page = 0; page < FINDING.pages; page++) {
        const params = { after: names.at(-1) ?? "" };
        const how = { timeoutMs: FINDING.callMs };
        const said = await commands.call(peer, name, params, result, how);
        names.push(...said.clusters.map((cluster) => cluster.name));
        if (!said.more || said.clusters.length === 0) break;
      }
      return names;
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      const isOld = isShoalError(error, "COMMAND_UNKNOWN");
      const what = `a bootstrap did not tell its clusters: ${message}`;
      events[isOld ? "warn" : "debug"]("CLUSTER", what, { peer, code });
      return undefined;
    }
  }
}
