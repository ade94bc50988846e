/**
 * What a relay gives to whom. Members of its clusters share its rate; peers that are in no cluster here get little, as libp2p's own relays
 * give. The rate is divided evenly: among the clusters that send now, and in each among the peers that send. Nobody's bytes wait for
 * another's debt: a peer that sends more than its part only makes itself wait.
 */
import {
  type Clock,
  type EventSink,
  ShoalError,
  steadyClock,
} from "../lib/index.ts";
import {
  PeerQuota,
  type RelayPassage,
  type RelayPolicy,
} from "../network/index.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

export const RELAY_LIMITS = Object.freeze({
  /** Of all that is passed on: a few prompts' activations at once. */
  bytesPerSecond: 32 * MiB,
  /** One for each member that cannot be reached otherwise. */
  places: 4_096,
  placesOfCluster: 1_024,
  /** All of them together: peers that are in no cluster here. A node asks for its place before it joins. */
  placesOfStrangers: 64,
  /** That it asked for: a gateway's stages, a node's neighbours. Below what a target takes from one relay (the network's `relayStreams`). */
  connectionsOfPeer: 64,
  connectionsOfCluster: 2_048,
  connectionsOfStrangers: 32,
  /** What two strangers may send each other: libp2p's own limits (DEFAULT_DATA_LIMIT and DEFAULT_DURATION_LIMIT of circuit relay v2). */
  strangersBytes: 128 * KiB,
  strangersMs: 120_000,
  /** Asking for places and connections. */
  askBurst: 256,
  asksPerSecond: 8,
});

/** A peer that sent nothing for this long needs no part of the rate. */
const IDLE_MS = 2_000;
/** A pause saves up this much of the rate: a prompt's first chunk passes at once. */
const BURST_MS = 1_000;
/** The parts may have grown by then. */
const LONGEST_WAIT_MS = 250;
/** Of the refusals of one peer only so many are told. */
const TOLD = { burst: 1, perSecond: 1 / 60 } as const;

export interface RelayLimitsOptions {
  clock?: Clock | undefined;
  events: EventSink;
  bytesPerSecond?: number | undefined;
}

/** What one peer sends in one cluster. */
interface Flow {
  creditBytes: number;
  atMs: number;
  passages: number;
}

/** In place of a cluster's name, which is never empty. */
const STRANGERS = "";

type Bound =
  | "places"
  | "placesOfCluster"
  | "placesOfStrangers"
  | "connectionsOfPeer"
  | "connectionsOfCluster"
  | "connectionsOfStrangers";

const NAMES: Readonly<Record<Bound, string>> = {
  places: "places",
  placesOfCluster: "places of one cluster",
  placesOfStrangers: "places of peers in no cluster of this relay",
  connectionsOfPeer: "connections of one peer",
  connectionsOfCluster: "connections of one cluster",
  connectionsOfStrangers: "connections of peers in no common cluster",
};

export class RelayLimits implements RelayPolicy {
  readonly bytesPerSecond: number;
  /** The clusters of this relay that a peer is in; set before the host starts. */
  clustersOf: (peer: string) => readonly string[] = () => [];
  readonly #clock: Clock;
  readonly #events: EventSink;
  readonly #places = new Set<string>();
  readonly #connections = new Counts();
  /** By cluster and peer: those that have a connection. */
  readonly #flows = new Map<string, Map<string, Flow>>();
  readonly #asks: PeerQuota;
  readonly #told: PeerQuota;
  #passedBytes = 0;

  constructor(options: RelayLimitsOptions) {
    const { clock = steadyClock, events } = options;
    const { bytesPerSecond = RELAY_LIMITS.bytesPerSecond } = options;
    this.#clock = clock;
    this.#events = events;
    this.bytesPerSecond = bytesPerSecond;
    const { askBurst, asksPerSecond } = RELAY_LIMITS;
    this.#asks = new PeerQuota(askBurst, asksPerSecond, clock);
    this.#told = new PeerQuota(TOLD.burst, TOLD.perSecond, clock);
  }

  /** Peers reached through this relay, connections, and bytes passed on since the start. */
  get use(): { places: number; connections: number; bytes: number } {
    return {
      places: this.#places.size,
      connections: this.#connections.total,
      bytes: this.#passedBytes,
    };
  }

  /** Throws RELAY_LIMIT. */
  reserve(peer: string): void {
    this.checkPlace(peer);
    this.#places.add(peer);
  }

  /** Throws RELAY_LIMIT if `reserve` would. */
  checkPlace(peer: string): void {
    this.#asked(peer);
    if (this.#places.has(peer)) return;
    this.#bound(peer, "places", this.#places.size);
    const clusters = this.clustersOf(peer);
    const isAmong = (name: string) => (other: string) =>
      this.clustersOf(other).includes(name);
    const isStranger = (other: string): boolean =>
      this.clustersOf(other).length === 0;
    if (clusters.length === 0)
      this.#bound(peer, "placesOfStrangers", this.#count(isStranger));
    // One that is full does not keep a peer out that is in another.
    else if (
      clusters.every(
        (name) => this.#count(isAmong(name)) >= RELAY_LIMITS.placesOfCluster,
      )
    )
      this.#bound(peer, "placesOfCluster", Infinity);
  }

  released(peer: string): void {
    this.#places.delete(peer);
  }

  /** Throws RELAY_LIMIT. */
  connect(
    from: string,
    to: string,
    end: (error: ShoalError) => void,
  ): RelayPassage {
    this.#asked(from);
    let cluster = this.#common(from, to);
    const counted = [`cluster ${cluster}`, `peer ${from}`] as const;
    const [inCluster, ofPeer] = counted;
    const isStrange = cluster === STRANGERS;
    this.#bound(
      from,
      isStrange ? "connectionsOfStrangers" : "connectionsOfCluster",
      this.#connections.of(inCluster),
    );
    this.#bound(from, "connectionsOfPeer", this.#connections.of(ofPeer));
    for (const key of counted) this.#connections.add(key, 1);
    this.#use(cluster, from, 1);
    this.#use(cluster, to, 1);
    let leftBytes = RELAY_LIMITS.strangersBytes;
    /** They may have joined a cluster since. */
    const isOver = (what: string): boolean => {
      if (cluster !== STRANGERS) return false;
      const now = this.#common(from, to);
      if (now === STRANGERS) {
        end(refused(what));
        return true;
      }
      for (const peer of [from, to]) {
        this.#use(cluster, peer, -1);
        this.#use(now, peer, 1);
      }
      cluster = now;
      return false;
    };
    const { strangersBytes, strangersMs } = RELAY_LIMITS;
    const cancel = isStrange
      ? this.#clock.after(strangersMs, () =>
          isOver(`${strangersMs / 1_000} s of peers in no common cluster`),
        )
      : () => {};
    let isClosed = false;
    return {
      passed: (peer, bytes) => {
        this.#passedBytes += bytes;
        leftBytes -= bytes;
        if (
          leftBytes < 0 &&
          isOver(`${strangersBytes} bytes of peers in no common cluster`)
        )
          return LONGEST_WAIT_MS;
        return this.#take(cluster, peer, bytes);
      },
      close: () => {
        if (isClosed) return;
        isClosed = true;
        cancel();
        for (const key of counted) this.#connections.add(key, -1);
        this.#use(cluster, from, -1);
        this.#use(cluster, to, -1);
      },
    };
  }

  /** How long the peer is to wait before its next bytes, in ms. */
  #take(cluster: string, peer: string, bytes: number): number {
    const flow = this.#flows.get(cluster)?.get(peer);
    if (flow === undefined) return 0;
    const nowMs = this.#clock.now();
    const elapsedMs = Math.max(0, nowMs - flow.atMs);
    flow.atMs = nowMs;
    const perMs = this.#rate(cluster, nowMs) / 1_000;
    const saved = flow.creditBytes + elapsedMs * perMs;
    flow.creditBytes = Math.min(perMs * BURST_MS, saved) - bytes;
    return flow.creditBytes >= 0
      ? 0
      : Math.min(LONGEST_WAIT_MS, Math.ceil(-flow.creditBytes / perMs));
  }

  /** The part of one peer that sends in this cluster, in bytes a second. */
  #rate(cluster: string, nowMs: number): number {
    const busy = (flows: Map<string, Flow>): number => {
      let count = 0;
      for (const { atMs } of flows.values())
        if (nowMs - atMs <= IDLE_MS) count++;
      return count;
    };
    let clusters = 0;
    for (const flows of this.#flows.values()) if (busy(flows) > 0) clusters++;
    const peers = busy(this.#flows.get(cluster) ?? new Map());
    return this.bytesPerSecond / Math.max(1, clusters) / Math.max(1, peers);
  }

  #use(cluster: string, peer: string, change: 1 | -1): void {
    const flows = this.#flows.get(cluster) ?? new Map<string, Flow>();
    const atMs = -Infinity;
    const flow = flows.get(peer) ?? { creditBytes: 0, atMs, passages: 0 };
    flow.passages += change;
    if (flow.passages > 0) flows.set(peer, flow);
    else flows.delete(peer);
    if (flows.size > 0) this.#flows.set(cluster, flows);
    else this.#flows.delete(cluster);
  }

  #common(from: string, to: string): string {
    const theirs = new Set(this.clustersOf(to));
    const mine = this.clustersOf(from);
    return mine.find((name) => theirs.has(name)) ?? STRANGERS;
  }

  #count(matches: (peer: string) => boolean): number {
    let count = 0;
    for (const peer of this.#places) if (matches(peer)) count++;
    return count;
  }

  #asked(peer: string): void {
    if (this.#asks.take(peer)) return;
    const { asksPerSecond } = RELAY_LIMITS;
    this.#refuse(peer, refused(`${asksPerSecond} questions a second`));
  }

  #bound(peer: string, bound: Bound, count: number): void {
    const most = RELAY_LIMITS[bound];
    if (count >= most) this.#refuse(peer, refused(`${most} ${NAMES[bound]}`));
  }

  #refuse(peer: string, error: ShoalError): never {
    if (this.#told.take(peer))
      this.#events.warn("CONNECT", `refused a peer: ${error.message}`, {
        peer,
        code: error.code,
      });
    throw error;
  }
}

class Counts {
  readonly #counts = new Map<string, number>();

  /** Each connection counts for its cluster and for the peer that asked. */
  get total(): number {
    let sum = 0;
    for (const count of this.#counts.values()) sum += count;
    return sum / 2;
  }

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string, change: number): void {
    const count = this.of(key) + change;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}

function refused(limit: string): ShoalError {
  return new ShoalError("RELAY_LIMIT", `the relay's limit is ${limit}`, {
    limit,
  });
}
