/**
 * A node that was told no shard finds one: what nobody holds first (`src/placement` decides, here it is carried out). It claims it, hears whom
 * else, gives way where it must, and fetches it.
 */
import {
  coverageOf,
  needsOf,
  placeShard,
  type PlanShard,
  shouldYield,
  usableBytes,
  whatFits,
} from "../placement/index.ts";
import {
  type EventSink,
  isShoalError,
  ShoalError,
  sleep,
} from "../lib/index.ts";
import {
  isFetched,
  type PlannedShard,
  type ServedModel,
} from "../weights/index.ts";
import type { ModelSwarm } from "./model-swarm.ts";
import { nameOf, type NodeShards } from "./node-shards.ts";
import type { SetAside } from "./set-aside.ts";

export interface PlacementOptions {
  /** This node. */
  peer: string;
  model: ServedModel;
  swarm: ModelSwarm;
  shards: NodeShards;
  /** What it does not take now. */
  setAside: SetAside;
  freeMemoryBytes: () => number;
  events: EventSink;
  signal: AbortSignal;
}

const PLACEMENT_DEFAULTS = Object.freeze({
  /** A claim reaches everybody within a second; whoever claims the same at the same time is known by then. */
  claimMs: 1_500,
  /** Where no shard fits, or a fetch failed: how often it is tried again. */
  againMs: 5_000,
  /** Loads of one shard that failed in a row: then it takes another. */
  mostLoads: 3,
});

const LOAD_FAILURES = [
  "ENGINE_DIED",
  "ENGINE_HUNG",
  "ENGINE_LOAD_FAILED",
] as const;

export class Placement {
  readonly #options: PlacementOptions;
  /** The shard that failed to load last, and how often in a row. */
  #failed: { index: number; times: number } | undefined;

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  /** Takes a first shard. Resolves when it is ready; rejects only with the signal's reason. */
  async settle(): Promise<void> {
    const { shards, model, events, signal } = this.#options;
    for (let said = ""; ;) {
      let planned: PlannedShard | undefined;
      try {
        planned = await this.#claimOne();
        await shards.fetch(model, planned);
        return;
      } catch (error) {
        signal.throwIfAborted();
        this.#count(planned, error);
        const { code, message } = ShoalError.from(error);
        if (message !== said)
          events.warn("SHARD", `no shard yet: ${message}`, { code });
        said = message;
      }
      await sleep(PLACEMENT_DEFAULTS.againMs, signal);
    }
  }

  /** One whose engine does not load, however often, is set aside. */
  #count(planned: PlannedShard | undefined, error: unknown): void {
    if (planned === undefined || !isShoalError(error, ...LOAD_FAILURES)) return;
    const { index } = planned.number;
    const times = (this.#failed?.index === index ? this.#failed.times : 0) + 1;
    this.#failed = { index, times };
    if (times < PLACEMENT_DEFAULTS.mostLoads) return;
    this.#failed = undefined;
    this.#options.setAside.add(planned, error);
  }

  /** The swarm, but for shards that were set aside. */
  #swarm(): ReturnType<ModelSwarm["now"]> {
    const { swarm, setAside } = this.#options;
    const now = swarm.now();
    const left = now.shards.filter((shard) => !setAside.has(shard));
    if (left.length > 0) return { ...now, shards: left };
    const reason = setAside.reason();
    throw new ShoalError("ENGINE_GIVEN_UP", `no shard is left: ${reason}`);
  }

  /** Claims a shard, and another where someone else comes first at it. */
  async #claimOne(): Promise<PlannedShard> {
    const { shards, swarm, model, peer, events, signal } = this.#options;
    let { shard, reason } = await this.#choose();
    for (;;) {
      const { cut } = swarm.now();
      const planned = swarm.planned(shard.index, cut);
      events.info("SHARD", `taking shard ${nameOf(planned)}: ${reason}`);
      await shards.claim(planned, model.mode, { cut });
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
    if (placed.shard === undefined) throw this.#withWhatFits(placed.error);
    // What lies here from an earlier run is as good where nobody needs another more.
    const others = swarm.announcements.filter((a) => a.peer !== peer);
    const coverage = coverageOf({ ...swarm, announcements: others });
    const holdersOf = (shard: PlanShard): number => {
      const found = coverage.find((c) => c.shard.index === shard.index);
      return (found?.ready.length ?? 0) + (found?.claims.length ?? 0);
    };
    for (const shard of swarm.shards) {
      if (shard.index === placed.shard.index) continue;
      if (holdersOf(shard) > holdersOf(placed.shard)) continue;
      const { totalBytes } = needsOf(shard, swarm);
      if (totalBytes > usableBytes(capacity.freeMemoryBytes)) continue;
      if (await isFetched(model, shard))
        return { shard, reason: "its file is here from an earlier run" };
    }
    return placed;
  }

  /** Of the smallest shard. */
  #withWhatFits(error: ShoalError): ShoalError {
    const { model, freeMemoryBytes } = this.#options;
    const swarm = this.#options.swarm.now();
    const [smallest] = swarm.shards.toSorted(
      (a, b) => needsOf(a, swarm).totalBytes - needsOf(b, swarm).totalBytes,
    );
    if (error.code !== "MEMORY_INSUFFICIENT" || smallest === undefined)
      return error;
    const usable = usableBytes(freeMemoryBytes());
    const what = whatFits(usable, model.manifest, smallest, swarm);
    return new ShoalError(
      error.code,
      `${error.message}. ${what}`,
      error.details,
    );
  }
}
