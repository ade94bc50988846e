/**
 * Joins a cluster through its members in the local network. Each answer of mDNS names one: who is not known yet is dialled and joined
 * through; all others come by gossip. So a few connections are enough, and groups that formed apart grow together.
 */
import {
  backoffMs,
  type Clock,
  type EventSink,
  ShoalError,
  sleep,
  steadyClock,
} from "../lib/index.ts";
import { type Host, type LanPeer, LanSearch } from "../network/index.ts";

export const LAN_JOIN = Object.freeze({
  dialMs: 5_000,
  /** Dials at once; the others answer again within ten seconds. */
  dials: 4,
  /** Peers joined through and connected at a time: more than a cluster in one house has that hold nothing. */
  joined: 16,
  /** Peers whose failures are remembered. Anybody in the network can make up more. */
  remembered: 256,
  /** A peer that could not be joined is left alone for so long. */
  retry: { initialMs: 2_000, maxMs: 60_000 },
});

export interface LanJoinerOptions {
  host: Pick<
    Host,
    "peerId" | "addresses" | "connect" | "onPeer" | "connections"
  >;
  events: EventSink;
  clusters: readonly string[];
  /** It only asks, and is not found: for a process that is there for a moment. */
  isGuest: boolean;
  /** A neighbour, or a member by its records. */
  knows: (peer: string, cluster: string) => boolean;
  /** Joins a cluster through a peer that was just connected. */
  join: (peer: string, cluster: string) => Promise<void>;
  clock?: Clock;
  random?: () => number;
}

interface Try {
  failures: number;
  notBeforeMs: number;
  /** Why, as it was told last. */
  said: string;
}

export class LanJoiner {
  readonly #options: LanJoinerOptions;
  readonly #clock: Clock;
  readonly #search: LanSearch;
  readonly #tries = new Map<string, Try>();
  /** By peer: a peer of two clusters is dialled once. */
  readonly #joining = new Set<string>();
  readonly #joined = new Map<string, Set<string>>();
  readonly #first = Promise.withResolvers<void>();
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: LanJoinerOptions) {
    const { host, events, clusters, isGuest } = options;
    this.#options = options;
    this.#clock = options.clock ?? steadyClock;
    this.#search = new LanSearch({
      names: clusters,
      host: isGuest ? undefined : host,
      onFound: (peer) => this.found(peer),
      onProblem: (what) => {
        const told = `members in the local network may not be found: ${what}`;
        events.warn("CONNECT", told, { code: "LAN" });
      },
    });
  }

  async start(): Promise<void> {
    const { host, events, clusters } = this.#options;
    this.#unsubscribe = host.onPeer(({ type, peer }) => {
      if (type === "connected") return;
      if (!host.connections().some((one) => one.peer === peer))
        this.#joined.delete(peer);
    });
    const names = clusters.join(", ");
    const what = `no --bootstrap: looking for members of ${names} in the local network (mDNS)`;
    events.info("CONNECT", what, { clusters: [...clusters] });
    await this.#search.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    await this.#search.stop();
  }

  /** Whether it joined somewhere within that time. */
  async joinedWithin(ms: number, signal: AbortSignal): Promise<boolean> {
    const over = new AbortController();
    const until = AbortSignal.any([signal, over.signal]);
    try {
      return await Promise.race([
        this.#first.promise.then(() => true),
        sleep(ms, until).then(() => false),
      ]);
    } finally {
      over.abort();
    }
  }

  /** Why the last one could not be joined. */
  get lastProblem(): string | undefined {
    return [...this.#tries.values()].findLast(({ said }) => said !== "")?.said;
  }

  /** A peer says that it is in a cluster: only a hint. */
  found(peer: LanPeer): void {
    const { peerId, name } = peer;
    if (this.#stopped || this.#options.knows(peerId, name)) return;
    if (this.#joined.get(peerId)?.has(name) === true) return;
    if (this.#joining.has(peerId) || this.#isFull(peerId)) return;
    const { notBeforeMs = 0 } = this.#tries.get(keyOf(peer)) ?? {};
    if (this.#clock.now() >= notBeforeMs) void this.#join(peer);
  }

  #isFull(peerId: string): boolean {
    const { dials, joined } = LAN_JOIN;
    const isMore = !this.#joined.has(peerId) && this.#joined.size >= joined;
    return isMore || this.#joining.size >= dials;
  }

  async #join(peer: LanPeer): Promise<void> {
    const { host, events, join } = this.#options;
    const { peerId, name, addresses } = peer;
    this.#joining.add(peerId);
    try {
      const target = { peerId, addresses };
      const { transport, address } = await host.connect(target, {
        timeoutMs: LAN_JOIN.dialMs,
      });
      if (this.#stopped) return;
      const what = `found a member of ${name} in the local network: connected to ${peerId} over ${transport}`;
      events.info("CONNECT", what, { cluster: name, peer: peerId, address });
      await join(peerId, name);
      this.#tries.delete(keyOf(peer));
      const names = this.#joined.get(peerId) ?? new Set();
      this.#joined.set(peerId, names.add(name));
      this.#first.resolve();
    } catch (error) {
      if (!this.#stopped) this.#failed(peer, ShoalError.from(error));
    } finally {
      this.#joining.delete(peerId);
    }
  }

  /** Told once for each reason. */
  #failed(peer: LanPeer, { code, message }: ShoalError): void {
    const { events, random } = this.#options;
    const key = keyOf(peer);
    const { failures = 0, said = "" } = this.#tries.get(key) ?? {};
    const wait = { ...LAN_JOIN.retry, ...(random && { random }) };
    const notBeforeMs = this.#clock.now() + backoffMs(failures, wait);
    this.#tries.delete(key);
    this.#tries.set(key, {
      failures: failures + 1,
      notBeforeMs,
      said: message,
    });
    const [oldest] = this.#tries.keys();
    if (this.#tries.size > LAN_JOIN.remembered && oldest !== undefined)
      this.#tries.delete(oldest);
    const what = `could not join through a member in the local network: ${message}`;
    const fields = { cluster: peer.name, peer: peer.peerId, code };
    if (message === said) events.debug("CLUSTER", what, fields);
    else events.warn("CLUSTER", what, fields);
  }
}

function keyOf({ peerId, name }: LanPeer): string {
  return `${peerId} ${name}`;
}
