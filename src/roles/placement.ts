/**
 * A node that was told no shard finds one: what nobody holds first (cluster/placement.ts decides, here it is carried out). It claims
 * it, hears whom else, gives way where it must, and fetches it. Later it takes on a second one where a shard has had nobody
 * for a while, and gives that back when others hold it.
 */
import type { Membership } from "../cluster/index.ts";
import {
  type TakeOver,
  takeOvers,
  type CoverageHistory,
  coverageOf,
  needsOf,
  NO_HISTORY,
  observeCoverage,
  placeShard,
  type PlanShard,
  planShards,
  type SessionRoom,
  shouldGiveBack,
  shouldYield,
  type Swarm,
  usableBytes,
} from "../placement/index.ts";
import {
  type EventSink,
  formatBytes,
  ShoalError,
  sleep,
} from "../lib/index.ts";
import { planLayers } from "../model/index.ts";
import {
  isFetched,
  type PlannedShard,
  planOf,
  type ServedModel,
} from "../weights/index.ts";
import { nameOf, type NodeShards } from "./node-shards.ts";

export interface PlacementOptions {
  /** This node. */
  peer: string;
  model: ServedModel;
  membership: Membership;
  shards: NodeShards;
  room: SessionRoom;
  freeMemoryBytes: () => number;
  events: EventSink;
  signal: AbortSignal;
}

const PLACEMENT_DEFAULTS = Object.freeze({
  /** A claim reaches everybody within a second; whoever claims the same at the same time is known by then. */
  claimMs: 1_500,
  /** Where no shard fits, or a fetch failed: how often it is tried again. */
  againMs: 5_000,
  /** How often the node looks whether a shard is without anybody. */
  watchMs: 2_000,
});

export class Placement {
  #options: PlacementOptions;
  #plan: PlanShard[];
  #history: CoverageHistory = NO_HISTORY;
  #takingOver: Promise<void> | undefined;

  constructor(options: PlacementOptions) {
    this.#options = options;
    const { manifest, shards } = options.model;
    this.#plan = planShards(manifest, planLayers(manifest, shards));
  }

  /** Takes a first shard. Resolves when it is ready; rejects only with the signal's reason. */
  async settle(): Promise<void> {
    const { shards, model, events, signal } = this.#options;
    for (let said = ""; ;) {
      try {
        const planned = await this.#claimOne();
        await shards.fetch(model, planned);
        return;
      } catch (error) {
        signal.throwIfAborted();
        const { code, message } = ShoalError.from(error);
        if (message !== said)
          events.warn("SHARD", `no shard yet: ${message}`, { code });
        said = message;
      }
      await sleep(PLACEMENT_DEFAULTS.againMs, signal);
    }
  }

  /** Watches for shards without a holder, until the signal; then waits for what it began. */
  async watch(): Promise<void> {
    const { signal, events } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#look();
      } catch (error) {
        if (signal.aborted) return;
        const { code, message } = ShoalError.from(error);
        events.warn("SHARD", `could not take over a shard: ${message}`, {
          code,
        });
      }
      await sleep(PLACEMENT_DEFAULTS.watchMs, signal).catch(() => {});
    }
    await this.#takingOver;
  }

  /**
   * A member asks for one more shard. Throws CLUSTER_MODEL_MISMATCH, MODEL_SHARDS or MEMORY_INSUFFICIENT; resolves once the shard is
   * claimed, and fetches it then.
   */
  async accept(request: { manifest: string; index: number }): Promise<void> {
    const { model, shards, freeMemoryBytes, events } = this.#options;
    if (request.manifest !== model.id) {
      throw new ShoalError(
        "CLUSTER_MODEL_MISMATCH",
        `this node serves another model, ${model.id}`,
        { manifest: model.id },
      );
    }
    const planned = planOf(model, { index: request.index });
    if (shards.holds(planned)) return;
    const shard = this.#plan[request.index];
    const usable = usableBytes(freeMemoryBytes());
    const needs = shard && needsOf(shard, this.#swarm()).totalBytes;
    if (needs === undefined || needs > usable) {
      throw new ShoalError(
        "MEMORY_INSUFFICIENT",
        `shard ${nameOf(planned)} needs ${formatBytes(needs ?? 0)}; only ${formatBytes(usable)} is available`,
        { needBytes: needs, freeBytes: usable },
      );
    }
    events.info(
      "SHARD",
      `taking shard ${nameOf(planned)}: a member asked for it`,
    );
    await shards.claim(planned, true);
    this.#takingOver = this.#takeOver(planned);
  }

  #swarm(): Swarm & SessionRoom {
    const { membership, model, room } = this.#options;
    return {
      ...room,
      manifest: model.id,
      shards: this.#plan,
      announcements: membership.announcements(),
    };
  }

  /** Claims a shard, and another where someone else comes first at it. */
  async #claimOne(): Promise<PlannedShard> {
    const { shards, peer, events, signal } = this.#options;
    let { shard, reason } = await this.#choose();
    for (;;) {
      const planned = planOf(this.#options.model, { index: shard.index });
      events.info("SHARD", `taking shard ${nameOf(planned)}: ${reason}`);
      await shards.claim(planned);
      try {
        await sleep(PLACEMENT_DEFAULTS.claimMs, signal);
      } catch (error) {
        await shards.unclaim(planned);
        throw error;
      }
      const other = shouldYield({ ...this.#swarm(), peer });
      if (other === undefined) return planned;
      await shards.unclaim(planned);
      ({ shard, reason } = other);
    }
  }

  async #choose(): Promise<{ shard: PlanShard; reason: string }> {
    const { peer, freeMemoryBytes, model } = this.#options;
    const swarm = this.#swarm();
    const capacity = { freeMemoryBytes: freeMemoryBytes() };
    const placed = placeShard({ ...swarm, peer, capacity });
    if (placed.shard === undefined) throw placed.error;
    // What lies here from an earlier run is as good where nobody needs another more.
    const others = swarm.announcements.filter((a) => a.peer !== peer);
    const coverage = coverageOf({ ...swarm, announcements: others });
    const holdersOf = (shard: PlanShard): number => {
      const found = coverage.find((c) => c.shard.index === shard.index);
      return (found?.ready.length ?? 0) + (found?.claims.length ?? 0);
    };
    for (const shard of this.#plan) {
      if (shard.index === placed.shard.index) continue;
      if (holdersOf(shard) > holdersOf(placed.shard)) continue;
      const { totalBytes } = needsOf(shard, swarm);
      if (totalBytes > usableBytes(capacity.freeMemoryBytes)) continue;
      if (await isFetched(model, shard))
        return { shard, reason: "its file is here from an earlier run" };
    }
    return placed;
  }

  async #look(): Promise<void> {
    const { peer, shards, events, model } = this.#options;
    const input = { ...this.#swarm(), nowMs: Date.now() };
    this.#history = observeCoverage(this.#history, input);
    const now = { ...input, history: this.#history };
    const mine: TakeOver | undefined = takeOvers(now).find(
      (takeOver) => takeOver.peer === peer,
    );
    if (mine !== undefined) {
      const planned = planOf(model, { index: mine.shard.index });
      if (shards.holds(planned)) return;
      events.info(
        "SHARD",
        `taking over shard ${nameOf(planned)}: ${mine.reason}`,
      );
      await shards.claim(planned, true);
      this.#takingOver = this.#takeOver(planned);
    }
    for (const planned of shards.takenOver()) {
      const shard = this.#plan[planned.number.index];
      if (shard === undefined) continue;
      const reason = shouldGiveBack({ ...now, peer, shard });
      if (reason === undefined) continue;
      events.info("SHARD", `giving back shard ${nameOf(planned)}: ${reason}`);
      await shards.release(planned);
    }
  }

  /** While it is fetched the watch goes on: someone else may have taken it first. */
  async #takeOver(planned: PlannedShard): Promise<void> {
    const { shards, model, events } = this.#options;
    try {
      await shards.fetch(model, planned);
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      if (code === "ABORTED") return;
      events.warn(
        "SHARD",
        `could not take over shard ${nameOf(planned)}: ${message}`,
        {
          code,
        },
      );
    }
  }
}

/** What a session of this node takes: no more than the model has. */
export function roomOf(
  { manifest }: ServedModel,
  contextLength: number,
  sessions: number,
): SessionRoom {
  return {
    contextLength: Math.min(contextLength, manifest.contextLength),
    sessions,
  };
}
