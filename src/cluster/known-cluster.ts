/** What one process knows about one cluster: verified records, the cluster's record, and refusals. Members and rendezvous have the same. */
import { type Clock, computeModeOf, ShoalError } from "../lib/index.ts";
import {
  type Announcement,
  ANNOUNCEMENT,
  type Passed,
  prove,
  readUnproved,
  type Sealed,
} from "./announcement.ts";
import { Clocks, type ClockVerdict, clocksText } from "./clocks.ts";
import {
  type ClusterRecord,
  refuseOtherMode,
  supersedes,
  unsealClusterRecord,
} from "./cluster-record.ts";
import { clusterStatus, type PlanOf } from "./cluster-status.ts";
import {
  after,
  ClusterRecords,
  digestOf,
  type HolderRecord,
  type PutOutcome,
} from "./records.ts";
import { Refusals } from "./refusals.ts";
import { proves, type Renewed } from "./renewal.ts";
import type { ClusterStatus } from "../status/index.ts";

export interface Taken {
  announcement: Announcement;
  /** As it was kept, if it was. */
  record: HolderRecord;
  outcome: Exclude<PutOutcome, "full">;
}

/** How a record came: from its own peer, just sealed, or from others, who say how old it is. */
export type Came =
  { from: string } | { ageMs: number; renewed: Renewed | undefined };

export interface KnownClusterOptions {
  name: string;
  /** Its records are not news, because this process knows better. */
  ownPeer: string;
  /** For how long things last. */
  clock: Clock;
  /** What the time is. */
  wallMs: () => number;
  own?: OwnRecords | undefined;
  /** Where else an announcement's identity runs. */
  rivalOf?: ((announcement: Announcement) => string[] | undefined) | undefined;
}

/** How a process handles its own records that others have. */
export interface OwnRecords {
  /** Whether the record is this run's, or older than it. */
  knows: (announcement: Announcement) => boolean;
  /** It is from an earlier run and not true any more. */
  contradict: (announcement: Announcement) => void;
}

export class KnownCluster {
  readonly name: string;
  readonly records = new ClusterRecords();
  readonly refusals = new Refusals();
  readonly #clocks = new Clocks();
  readonly #options: KnownClusterOptions;
  #published: { record: ClusterRecord; sealed: Sealed } | undefined;

  constructor(options: KnownClusterOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Keeps an announcement if it is news. Throws and counts refusals. A peer that announces itself learns of another plan. */
  async take(sealed: Sealed, came: Came): Promise<Taken> {
    try {
      return await this.#take(sealed, came);
    } catch (thrown) {
      const error = ShoalError.from(thrown);
      this.refusals.addError(error);
      throw error;
    }
  }

  /** A record that came by way of others. */
  async takePassed({ ageMs, renewed, ...sealed }: Passed): Promise<Taken> {
    const age = Math.min(ageMs, ANNOUNCEMENT.maxTtlMs);
    return await this.take(sealed, { ageMs: age, renewed });
  }

  /** `peer` answered within `tookMs` that its clock is at `theirMs`. */
  heardClock(peer: string, theirMs: number, tookMs: number): void {
    // It read its clock halfway between question and answer.
    this.#clocks.heard(peer, theirMs, this.#nowMs() - tookMs / 2);
  }

  /** How far the clocks of its machines are apart. */
  clocks(): ClockVerdict {
    const nowMs = this.#nowMs();
    for (const { announcement, bornMs } of this.records.list(nowMs))
      this.#clocks.keep(announcement.peer, bornMs);
    return this.#clocks.verdict(nowMs, this.#options.wallMs());
  }

  /** The cluster's signed record; undefined until published. */
  get published(): ClusterRecord | undefined {
    return this.#published?.record;
  }

  get publishedSealed(): Sealed | undefined {
    return this.#published?.sealed;
  }

  /** Keeps the cluster's record if it is newer. Returns whether it was. Throws ANNOUNCEMENT_INVALID or COMMAND_UNAUTHORIZED. */
  async takePublished(sealed: Sealed): Promise<boolean> {
    const record = await unsealClusterRecord(sealed);
    if (record.cluster !== this.name) {
      throw new ShoalError(
        "COMMAND_UNAUTHORIZED",
        "the record is of another cluster",
        { cluster: record.cluster },
      );
    }
    if (!supersedes(record, this.#published?.record)) return false;
    this.#published = { record, sealed };
    return true;
  }

  /** `own` is this process's announcements. */
  status(own: readonly Announcement[] = [], planOf?: PlanOf): ClusterStatus {
    const { ownPeer, rivalOf } = this.#options;
    const [nowMs, wallMs] = [this.#nowMs(), this.#options.wallMs()];
    const others = this.records.list(nowMs);
    const clocks = this.clocks();
    const self = `…${ownPeer.slice(-8)}`;
    return clusterStatus({
      cluster: this.name,
      announcements: [...own, ...others.map((r) => r.announcement)],
      ownPeer,
      published: this.published,
      refused: this.refusals.toObject(),
      sinceMs: (a) => this.records.sinceMs(a),
      heardMs: (a) => this.records.heardMs(a),
      clockAheadMs: ({ peer }) =>
        peer === ownPeer ? 0 : this.#clocks.aheadMs(peer, nowMs, wallMs),
      rivalOf,
      clocks: clocksText(clocks, self),
      planOf,
    });
  }

  /** This machine's time, as it is told to others. */
  wallMs(): number {
    return Math.max(0, Math.floor(this.#options.wallMs()));
  }

  async #take(sealed: Sealed, came: Came): Promise<Taken> {
    const announcement = readUnproved(sealed);
    const { cluster, peer, issuedMs, ttlMs } = announcement;
    const nowMs = this.#nowMs();
    const first = { from: undefined, ageMs: 0, renewed: undefined };
    const { from, ageMs, renewed } = { ...first, ...came };
    const bornMs = nowMs - ageMs;
    const bare: HolderRecord = { announcement, sealed, bornMs, renewed };
    const { id: key, seq: number } = digestOf(bare);
    const known = this.records.get(key);
    const record = after(bare, known);
    if (cluster !== this.name)
      throw refused("foreign", `it is of cluster ${cluster}, not ${this.name}`);
    if (from !== undefined && peer !== from) {
      throw new ShoalError(
        "COMMAND_UNAUTHORIZED",
        "a peer may announce only itself",
        { reason: "impostor" },
      );
    }
    const { ownPeer, own } = this.#options;
    if (peer === ownPeer) {
      if (own?.knows(announcement) === false) {
        await prove(sealed, announcement);
        own.contradict(announcement);
      }
      return { announcement, record, outcome: "stale" };
    }
    const knownNumber = this.records.seqOf(key);
    // Before the signature check: old records cost no arithmetic.
    const knownSeq = known?.announcement.seq ?? knownNumber;
    if (knownSeq > announcement.seq) this.refusals.add("stale");
    if (knownNumber >= number)
      return { announcement, record, outcome: "stale" };
    if (ageMs >= ttlMs)
      throw refused("expired", `it ended ${ageMs - ttlMs} ms ago`);
    await prove(sealed, announcement);
    if (renewed !== undefined) refuseUnproved(key, announcement, renewed);
    if (from !== undefined && known === undefined)
      this.#refuseOtherPlan(announcement);
    // A renewal does not tell the time.
    if (renewed === undefined)
      this.#clocks.heard(peer, issuedMs, record.bornMs);
    const outcome = this.records.put(record, nowMs);
    if (outcome === "full") {
      throw new ShoalError(
        "CLUSTER_FULL",
        `cluster ${cluster} accepts no more records of ${peer}`,
        { reason: "full" },
      );
    }
    return { announcement, record, outcome };
  }

  #nowMs(): number {
    return this.#options.clock.now();
  }

  /** Only for new members: when the cluster's record changes, its members need time to follow. */
  #refuseOtherPlan(announcement: Announcement): void {
    const { manifest, model, shard } = announcement;
    const published = this.published;
    if (published === undefined) return;
    if (manifest !== published.manifest) {
      throw new ShoalError(
        "CLUSTER_MODEL_MISMATCH",
        `the cluster serves another model, ${published.model} (${published.manifest}); this node has ${model} (${manifest})`,
        { reason: "mismatch", cluster: published.manifest, node: manifest },
      );
    }
    if (shard.count !== published.shards) {
      throw new ShoalError(
        "CLUSTER_PLAN_MISMATCH",
        `the cluster's plan has ${published.shards} shards; this node's plan has ${shard.count}`,
        { reason: "mismatch", cluster: published.shards, node: shard.count },
      );
    }
    refuseOtherMode(computeModeOf(announcement), computeModeOf(published));
  }
}

/** Throws ANNOUNCEMENT_INVALID. */
function refuseUnproved(
  id: string,
  { peer, renewal }: Announcement,
  renewed: Renewed,
): void {
  const isTheirs =
    renewal !== undefined && proves(id, { step: 0, value: renewal }, renewed);
  if (!isTheirs)
    throw refused("renewal", `${peer} did not renew it ${renewed.step} times`);
}

function refused(reason: string, what: string): ShoalError {
  return new ShoalError(
    "ANNOUNCEMENT_INVALID",
    `announcement refused (${reason}): ${what}`,
    { reason },
  );
}
