/** A cluster as placement sees it: where its model is cut, who holds what of it, and what a session needs. */
import type { Announcement, Membership } from "../cluster/index.ts";
import { computeModeOf, sameComputeMode } from "../lib/index.ts";
import {
  type Cut,
  cutsOf,
  firstCut,
  leastRoom,
  type PlanShard,
  planShards,
  sameCut,
  type SessionRoom,
  type Swarm,
  type Wish,
} from "../placement/index.ts";
import type { PlannedShard, ServedModel } from "../weights/index.ts";

export interface ModelSwarmOptions {
  model: ServedModel;
  membership: Membership;
  /** Of the node's sessions. */
  wish: Wish;
}

/** At one moment. */
export interface SwarmNow extends Swarm, SessionRoom {
  announcements: readonly Announcement[];
  /** The one in force; `shards` are its stages. */
  cut: Cut;
  /** Others that somebody follows. */
  otherCuts: readonly Cut[];
}

export class ModelSwarm {
  readonly #options: ModelSwarmOptions;
  readonly #first: Cut;
  /** Of the cut that was in force last. */
  #plan: { cut: Cut; shards: PlanShard[] };

  constructor(options: ModelSwarmOptions) {
    this.#options = options;
    const { manifest, shards } = options.model;
    const cut = firstCut(manifest, shards);
    this.#first = cut;
    this.#plan = { cut, shards: planShards(manifest, cut.ranges) };
  }

  now(): SwarmNow {
    const { membership, model, wish } = this.#options;
    const { id, manifest } = model;
    const all = membership
      .announcements()
      // One that computes otherwise is in no route with this node.
      .filter((a) => sameComputeMode(computeModeOf(a), model.mode));
    const announcements = all.filter((a) => a.manifest === id);
    const { inForce: cut, others: otherCuts } = cutsOf({
      model: manifest,
      first: this.#first,
      announcements,
    });
    if (!sameCut(cut, this.#plan.cut))
      this.#plan = { cut, shards: planShards(manifest, cut.ranges) };
    return {
      ...leastRoom(manifest, wish),
      manifest: id,
      shards: this.#plan.shards,
      announcements: all,
      cut,
      otherCuts,
    };
  }

  /** A stage of a cut, to be held. */
  planned(index: number, { ranges }: Cut): PlannedShard {
    const { id, manifest } = this.#options.model;
    const range = ranges[index];
    if (range === undefined) throw new RangeError(`no stage ${index}`);
    return { id, manifest, range, number: { index, count: ranges.length } };
  }

  /** The longest context of those that are ready: a route has the least of its stages, so more is of no use to it. */
  mostContext(): number | undefined {
    const { announcements, manifest } = this.now();
    const lengths = announcements
      .filter((a) => a.state === "ready" && a.manifest === manifest)
      .map((a) => a.contextLength);
    return lengths.length === 0 ? undefined : Math.max(...lengths);
  }
}
