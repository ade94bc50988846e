/** What one process knows about one cluster: verified records, the cluster's record, and refusals. Members and rendezvous have the same. */
import { type Clock, ShoalError } from "../lib/index.ts";
import {
  type Announcement,
  prove,
  readUnproved,
  type Sealed,
} from "./announcement.ts";
import {
  type ClusterRecord,
  supersedes,
  unsealClusterRecord,
} from "./cluster-record.ts";
import { clusterStatus, type PlanOf } from "./cluster-status.ts";
import { RECORDS_PER_MESSAGE } from "./protocol.ts";
import {
  ClusterRecords,
  holderId,
  type HolderRecord,
  type PutOutcome,
} from "./records.ts";
import { Refusals } from "./refusals.ts";
import type { ClusterStatus } from "../status/index.ts";

export interface Taken {
  announcement: Announcement;
  outcome: Exclude<PutOutcome, "full">;
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
  readonly #clock: Clock;
  readonly #ownPeer: string;
  readonly #own: OwnRecords | undefined;
  #published: { record: ClusterRecord; sealed: Sealed } | undefined;

  /** Records of `ownPeer` are not news, because this process knows better. */
  constructor(name: string, ownPeer: string, clock: Clock, own?: OwnRecords) {
    this.name = name;
    this.#own = own;
    this.#ownPeer = ownPeer;
    this.#clock = clock;
  }

  /**
   * Keeps an announcement if it is news. Throws and counts refusals. `from` is given if a peer announces itself: the record must be its
   * own, and it learns about its clock and plan.
   */
  async take(sealed: Sealed, from?: string): Promise<Taken> {
    try {
      return await this.#take(sealed, from);
    } catch (thrown) {
      const error = ShoalError.from(thrown);
      this.refusals.addError(error);
      throw from === undefined ? error : aboutClock(error);
    }
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

  /** A page of all live records for GET_CLUSTER; `own` come first. */
  page(
    offset: number,
    own: readonly HolderRecord[] = [],
  ): { records: Sealed[]; total: number; record: Sealed | null } {
    const records = [...own, ...this.records.list(this.#clock.now())];
    const page = records.slice(offset, offset + RECORDS_PER_MESSAGE);
    return {
      records: page.map(({ sealed }) => sealed),
      total: records.length,
      record: this.#published?.sealed ?? null,
    };
  }

  /** `own` is this process's announcements. */
  status(own: readonly Announcement[] = [], planOf?: PlanOf): ClusterStatus {
    const others = this.records.list(this.#clock.now());
    return clusterStatus({
      cluster: this.name,
      announcements: [...own, ...others.map((r) => r.announcement)],
      ownPeer: this.#ownPeer,
      published: this.published,
      refused: this.refusals.toObject(),
      sinceMs: (a) => this.records.sinceMs(a),
      planOf,
    });
  }

  async #take(sealed: Sealed, from: string | undefined): Promise<Taken> {
    const announcement = readUnproved(sealed);
    const { cluster, peer, seq, issuedMs } = announcement;
    if (cluster !== this.name)
      throw refused("foreign", `it is of cluster ${cluster}, not ${this.name}`);
    if (from !== undefined && peer !== from) {
      throw new ShoalError(
        "COMMAND_UNAUTHORIZED",
        "a peer may announce only itself",
        { reason: "impostor" },
      );
    }
    if (peer === this.#ownPeer) {
      if (this.#own?.knows(announcement) === false) {
        await prove(sealed, announcement, this.#clock.now());
        this.#own.contradict(announcement);
      }
      return { announcement, outcome: "stale" };
    }
    const key = holderId(announcement);
    const knownSeq = this.records.seqOf(key) ?? -1;
    // Before the signature check: old records cost no arithmetic.
    if (knownSeq > seq) this.refusals.add("stale");
    if (knownSeq >= seq) return { announcement, outcome: "stale" };
    await prove(sealed, announcement, this.#clock.now());
    if (from !== undefined && this.records.get(key) === undefined)
      this.#refuseOtherPlan(announcement);
    const outcome = this.records.put({ announcement, sealed }, issuedMs);
    if (outcome === "full") {
      throw new ShoalError(
        "CLUSTER_FULL",
        `cluster ${cluster} accepts no more records of ${peer}`,
        { reason: "full" },
      );
    }
    return { announcement, outcome };
  }

  /** Only for new members: when the cluster's record changes, its members need time to follow. */
  #refuseOtherPlan({ manifest, model, shard }: Announcement): void {
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
  }
}

function refused(reason: string, what: string): ShoalError {
  return new ShoalError(
    "ANNOUNCEMENT_INVALID",
    `announcement refused (${reason}): ${what}`,
    { reason },
  );
}

/** Fresh from its peer, yet from another time: one of the two clocks is wrong. */
function aboutClock(error: ShoalError): ShoalError {
  const { reason } = error.details;
  if (reason !== "expired" && reason !== "future") return error;
  return new ShoalError(
    "CLOCK_SKEW",
    `the clocks of the two machines are too far apart: ${error.message}`,
    error.details,
  );
}
