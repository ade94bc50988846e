/** This node's own announcements: one record per shard, numbered and sealed here. */
import type { Clock } from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import {
  type Announcement,
  ANNOUNCEMENT,
  type Capacity,
  LINKS,
  PROTOCOL,
  seal,
} from "./announcement.ts";
import type { HolderRecord } from "./records.ts";

/** The content of one shard's announcement; identity, numbers and times are added here. */
export type OwnState = Omit<
  Announcement,
  | "v"
  | "cluster"
  | "peer"
  | "capacity"
  | "links"
  | "addresses"
  | "seq"
  | "issuedMs"
  | "ttlMs"
>;

export interface LayersOf {
  layerStart: number;
  layerEnd: number;
}

interface Held {
  say: () => OwnState;
  /** As it was sealed last. */
  record: HolderRecord | undefined;
}

export interface OwnShardsOptions {
  host: Pick<Host, "peerId" | "addresses" | "connections" | "sign">;
  cluster: string;
  clock: Clock;
  capacity: (() => Capacity) | undefined;
}

export class OwnShards {
  readonly #options: OwnShardsOptions;
  readonly #held = new Map<string, Held>();
  /** Starts at the clock, so that it grows over restarts. */
  #seq: number;

  constructor(options: OwnShardsOptions) {
    this.#options = options;
    this.#seq = options.clock.now();
  }

  /** Announces a shard from now on; `say` is called each time it is sealed. */
  hold(say: () => OwnState): Held {
    const key = layersKey(say());
    const held = { say, record: this.#held.get(key)?.record };
    this.#held.set(key, held);
    return held;
  }

  /** The goodbye for one shard, or for all; undefined if never announced. */
  async release(layers?: LayersOf): Promise<HolderRecord[]> {
    const keys =
      layers === undefined ? [...this.#held.keys()] : [layersKey(layers)];
    const goodbyes: HolderRecord[] = [];
    for (const key of keys) {
      const record = this.#held.get(key)?.record;
      this.#held.delete(key);
      if (record === undefined) continue;
      const gone = { ...record.announcement, state: "gone" as const };
      goodbyes.push(await this.#seal(gone));
    }
    return goodbyes;
  }

  /** Seals a shard again. Undefined if it was released meanwhile. */
  async seal(held: Held): Promise<HolderRecord | undefined> {
    const said = held.say();
    const record = await this.#seal(this.#complete(said, 0));
    if (this.#held.get(layersKey(said)) !== held) return undefined;
    const kept = held.record?.announcement.seq ?? -1;
    if (record.announcement.seq > kept) held.record = record;
    return record;
  }

  /** With numbers above this one. */
  async sealAll(above = 0): Promise<HolderRecord[]> {
    this.#seq = Math.max(this.#seq, above);
    const all = [...this.#held.values()];
    const sealed = await Promise.all(all.map((held) => this.seal(held)));
    return sealed.filter((record) => record !== undefined);
  }

  /** Whether a record of this peer that came from others is this run's, older, or a goodbye. */
  knows(announcement: Announcement): boolean {
    const { state, seq } = announcement;
    const held = this.#held.get(layersKey(announcement))?.record;
    return state === "gone" || (held?.announcement.seq ?? -1) >= seq;
  }

  /** What to answer to a record from an earlier run: the shard's state, or goodbye. */
  async contradict(
    announcement: Announcement,
  ): Promise<HolderRecord | undefined> {
    this.#seq = Math.max(this.#seq, announcement.seq);
    const held = this.#held.get(layersKey(announcement));
    if (held !== undefined) return await this.seal(held);
    return await this.#seal({ ...announcement, state: "gone" });
  }

  /** As they were sealed last. */
  records(): HolderRecord[] {
    return [...this.#held.values()].flatMap(({ record }) => record ?? []);
  }

  /** The current ones: a node counts itself at once. */
  announcements(): Announcement[] {
    return [...this.#held.values()].map(({ say, record }) =>
      this.#complete(say(), record?.announcement.seq ?? this.#seq),
    );
  }

  #complete(own: OwnState, seq: number): Announcement {
    const { host, cluster, clock, capacity } = this.#options;
    const peers = new Set(host.connections().map(({ peer }) => peer));
    return {
      ...own,
      v: PROTOCOL,
      cluster,
      peer: host.peerId,
      capacity: capacity?.(),
      links: [...peers]
        .slice(0, LINKS.max)
        .map((peer) => peer.slice(-LINKS.characters)),
      addresses: host.addresses().slice(0, 16),
      seq,
      issuedMs: clock.now(),
      ttlMs: ANNOUNCEMENT.ttlMs,
    };
  }

  async #seal(announcement: Announcement): Promise<HolderRecord> {
    const { host, clock } = this.#options;
    const issuedMs = clock.now();
    this.#seq = Math.max(this.#seq + 1, issuedMs);
    const numbered = { ...announcement, seq: this.#seq, issuedMs };
    const sealed = await seal(numbered, (data) => host.sign(data));
    return { announcement: numbered, sealed };
  }
}

function layersKey({ layerStart, layerEnd }: LayersOf): string {
  return `${layerStart}-${layerEnd}`;
}
