/** This node's own announcements: one record per shard, numbered and sealed here. */
import type { Clock } from "../lib/index.ts";
import { type Host, PeerQuota, transportOf } from "../network/index.ts";
import {
  type Announcement,
  ANNOUNCEMENT,
  type Capacity,
  LINKS,
  MAX_ADDRESSES,
  PROTOCOL,
  seal,
} from "./announcement.ts";
import { haveChanged, isChange, linksOf, type OwnLink } from "./own-links.ts";
import { isStillTrue } from "./own-changes.ts";
import { after, holderId, type HolderRecord, numberOf } from "./records.ts";
import { RenewalChain } from "./renewal.ts";

/** The content of one shard's announcement; identity, numbers and times are added here. */
export type OwnState = Omit<
  Announcement,
  | "v"
  | "cluster"
  | "peer"
  | "capacity"
  | "relay"
  | "links"
  | "roundTrips"
  | "addresses"
  | "seenAs"
  | "renewal"
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
  /** As it was sealed last, and renewed since. */
  record: HolderRecord | undefined;
  /** The values of its renewals. */
  chain?: RenewalChain | undefined;
  /** Since when its peer's clock is as it says. */
  sealedMs?: number | undefined;
}

/** A record that goes around again, because it is still true or because it is not. */
export interface Again {
  record: HolderRecord;
  /** Renewed with a few bytes; otherwise sealed anew. */
  isRenewal: boolean;
}

/** The clock was set: others learn it from a record. Less is the time between two readings of it. */
const CLOCK_SET_MS = 2_000;

/** Of one range. Two processes with one identity contradict each other: not without end. */
const CONTRADICTIONS = { burst: 8, perSecond: 0.1 } as const;

export interface OwnShardsOptions {
  host: Pick<Host, "peerId" | "addresses" | "seenAs" | "connections" | "sign">;
  cluster: string;
  /** For how long things last. */
  clock: Clock;
  /** What the time is. */
  wallMs: () => number;
  capacity: (() => Capacity) | undefined;
  relays?: boolean | undefined;
  /** The layers that another member holds. */
  layersOf?: ((peer: string) => readonly LayersOf[]) | undefined;
}

export class OwnShards {
  readonly #options: OwnShardsOptions;
  readonly #held = new Map<string, Held>();
  /** Starts at the time, so that it grows over restarts. */
  #seq: number;
  readonly #contradictions: PeerQuota;

  constructor(options: OwnShardsOptions) {
    this.#options = options;
    const { burst, perSecond } = CONTRADICTIONS;
    this.#contradictions = new PeerQuota(burst, perSecond, options.clock);
    this.#seq = this.#wallMs();
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
    const whole = this.#complete(said, 0);
    const { peer } = whole;
    const chain = new RenewalChain(holderId({ ...said, peer }));
    const sealed = await this.#seal({ ...whole, renewal: chain.anchor });
    if (this.#held.get(layersKey(said)) !== held) return undefined;
    const record = after(sealed, held.record);
    const kept = held.record?.announcement.seq ?? -1;
    if (record.announcement.seq > kept) {
      held.record = record;
      held.chain = chain;
      held.sealedMs = record.bornMs;
    }
    return record;
  }

  /** Renews what is still true, and seals the rest again. */
  async again(): Promise<Again[]> {
    const all = [...this.#held.values()].map(
      async (held): Promise<Again | undefined> => {
        const renewed = this.#renew(held);
        if (renewed !== undefined) return { record: renewed, isRenewal: true };
        const record = await this.seal(held);
        return record && { record, isRenewal: false };
      },
    );
    return (await Promise.all(all)).filter((one) => one !== undefined);
  }

  #renew(held: Held): HolderRecord | undefined {
    const { record, chain, sealedMs = 0 } = held;
    if (record === undefined) return undefined;
    const { announcement, renewed } = record;
    const next = chain?.at((renewed?.step ?? 0) + 1);
    if (next === undefined) return undefined;
    const nowMs = this.#options.clock.now();
    const clockMs = this.#wallMs() - nowMs;
    if (Math.abs(clockMs - (announcement.issuedMs - sealedMs)) > CLOCK_SET_MS)
      return undefined;
    const own = held.say();
    const now = this.#complete(own, announcement.seq);
    const links = this.#links(own);
    const beside = links.filter(({ peer }) => this.#isBeside(own, peer));
    if (!isStillTrue(announcement, now, beside)) return undefined;
    if (haveChanged(this.#linksToHolders(own), announcement)) return undefined;
    const { digest: _, ...rest } = record;
    held.record = { ...rest, renewed: next, bornMs: nowMs };
    // The next record is numbered above every renewal of this one.
    this.#seq = Math.max(this.#seq, numberOf(held.record));
    return held.record;
  }

  /** With numbers above this one. */
  async sealAll(above = 0): Promise<HolderRecord[]> {
    this.#seq = Math.max(this.#seq, above);
    const all = [...this.#held.values()];
    const sealed = await Promise.all(all.map((held) => this.seal(held)));
    return sealed.filter((record) => record !== undefined);
  }

  /** Whether a record of this peer that came from others is this run's, older, or the goodbye of a shard that it does not have. */
  knows(announcement: Announcement): boolean {
    const { state, seq } = announcement;
    const held = this.#held.get(layersKey(announcement));
    if (held === undefined) return state === "gone";
    return (held.record?.announcement.seq ?? -1) >= seq;
  }

  /** What to answer to a record from another run: the shard's state, or goodbye; undefined if it was answered often enough lately. */
  async contradict(
    announcement: Announcement,
  ): Promise<HolderRecord | undefined> {
    this.#seq = Math.max(this.#seq, announcement.seq);
    const layers = layersKey(announcement);
    if (!this.#contradictions.take(layers)) return undefined;
    const held = this.#held.get(layers);
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

  /** To other holders: those that the announcements name. */
  linksToHolders(): OwnLink[] {
    const all = [...this.#held.values()].flatMap(({ say }) =>
      this.#linksToHolders(say()),
    );
    return [...new Map(all.map((link) => [link.peer, link])).values()];
  }

  /** A link to another holder, or a token's compute, takes another time than announced. */
  haveTimesChanged(): boolean {
    return [...this.#held.values()].some(({ say, record }) => {
      if (record === undefined) return false;
      const own = say();
      const { announcement } = record;
      return (
        isChange(announcement.msPerToken ?? 0, own.msPerToken ?? 0) ||
        haveChanged(this.#linksToHolders(own), announcement)
      );
    });
  }

  #linksToHolders(own: OwnState): OwnLink[] {
    const { layersOf = () => [] } = this.#options;
    return this.#links(own).filter(({ peer }) => layersOf(peer).length > 0);
  }

  #links(own: OwnState): OwnLink[] {
    const { host } = this.#options;
    return linksOf(host.connections(), (peer) => this.#isBeside(own, peer));
  }

  /** It holds the layers before or after these. */
  #isBeside(own: OwnState, peer: string): boolean {
    const { layersOf = () => [] } = this.#options;
    return layersOf(peer).some(
      ({ layerStart, layerEnd }) =>
        layerStart === own.layerEnd % own.layerCount ||
        layerEnd % own.layerCount === own.layerStart,
    );
  }

  #complete(own: OwnState, seq: number): Announcement {
    const { host, cluster, capacity, relays } = this.#options;
    const links = this.#links(own);
    return {
      ...own,
      v: PROTOCOL,
      cluster,
      peer: host.peerId,
      capacity: capacity?.(),
      relay: relays === true ? true : undefined,
      links: links.map(({ peer }) => peer.slice(-LINKS.characters)),
      roundTrips: links.map(({ roundTrip }) => roundTrip),
      addresses: toAnnounce(host.addresses()),
      ...(host.seenAs.own.length > 0 && { seenAs: [...host.seenAs.own] }),
      seq,
      issuedMs: this.#wallMs(),
      ttlMs: ANNOUNCEMENT.ttlMs,
    };
  }

  async #seal(announcement: Announcement): Promise<HolderRecord> {
    const { host, clock } = this.#options;
    const issuedMs = this.#wallMs();
    const bornMs = clock.now();
    this.#seq = Math.max(this.#seq + 1, issuedMs);
    const numbered = { ...announcement, seq: this.#seq, issuedMs };
    const sealed = await seal(numbered, (data) => host.sign(data));
    return { announcement: numbered, sealed, bornMs };
  }

  #wallMs(): number {
    return Math.max(0, Math.floor(this.#options.wallMs()));
  }
}

function isRelayed(address: string): boolean {
  return transportOf(address) === "relayed";
}

/** Where there are too many, those at relays are not the ones to leave out: they may be the only ones that others reach. */
function toAnnounce(addresses: readonly string[]): string[] {
  const relayed = addresses.filter(isRelayed);
  const direct = addresses.filter((address) => !isRelayed(address));
  return [
    ...direct.slice(0, MAX_ADDRESSES - relayed.length),
    ...relayed.slice(0, MAX_ADDRESSES),
  ];
}

function layersKey({ layerStart, layerEnd }: LayersOf): string {
  return `${layerStart}-${layerEnd}`;
}
