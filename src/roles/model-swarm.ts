/** A cluster as placement sees it: its model's plan, who holds what of it, and what a session needs. */
import type { Membership } from "../cluster/index.ts";
import { computeModeOf, sameComputeMode } from "../lib/index.ts";
import { planLayers } from "../model/index.ts";
import {
  leastRoom,
  type PlanShard,
  planShards,
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

export class ModelSwarm {
  readonly #options: ModelSwarmOptions;
  readonly #plan: PlanShard[];

  constructor(options: ModelSwarmOptions) {
    this.#options = options;
    const { manifest, shards } = options.model;
    this.#plan = planShards(manifest, planLayers(manifest, shards));
  }

  now(): Swarm & SessionRoom {
    const { membership, model, wish } = this.#options;
    return {
      ...leastRoom(model.manifest, wish),
      manifest: model.id,
      shards: this.#plan,
      // One that computes otherwise is in no route with this node.
      announcements: membership
        .announcements()
        .filter((a) => sameComputeMode(computeModeOf(a), model.mode)),
    };
  }

  /** A shard of the plan, to be held. */
  planned({ index, layerStart, layerEnd }: PlanShard): PlannedShard {
    const { id, manifest, shards: count } = this.#options.model;
    return {
      id,
      manifest,
      range: { layerStart, layerEnd },
      number: { index, count },
    };
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
