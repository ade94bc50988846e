/**
 * How a node follows the cut. Asked to, it loads its stage of a cut that is to be, beside what it holds. A range that is no stage of the cut
 * in force is drained and freed: once that cut is whole, or, where it belongs to a change that nobody goes on with, after a while.
 */
import {
  type Cut,
  coverageOf,
  cutOf,
  follows,
  isClaim,
  needsOf,
  planShards,
  sameCut,
  spareOf,
  usableBytes,
} from "../placement/index.ts";
import { type EventSink, formatBytes, ShoalError } from "../lib/index.ts";
import type { LoadShardRequest, ToldCut } from "../cluster/index.ts";
import type { PlannedShard, ServedModel } from "../weights/index.ts";
import type { ModelSwarm, SwarmNow } from "./model-swarm.ts";
import { nameOf, type NodeShards } from "./node-shards.ts";
import { isStage } from "./own-shard.ts";
import type { SetAside } from "./set-aside.ts";

export interface CutFollowerOptions {
  /** This node. */
  peer: string;
  model: ServedModel;
  swarm: ModelSwarm;
  shards: NodeShards;
  setAside: Pick<SetAside, "has">;
  /** Whether its layers may change now. */
  mayMove: () => boolean;
  /** They have. */
  onMoved: () => void;
  /** Takes a shard where none is left. */
  settle: () => Promise<void>;
  freeMemoryBytes: () => number;
  events: EventSink;
}

const FOLLOW = Object.freeze({
  /** The new cut is whole: gateways have heard of it by then. */
  wholeMs: 5_000,
  /** Nobody loads anything of a cut that is to be: whoever led the change has failed or gone. */
  stalledMs: 60_000,
});

export class CutFollower {
  readonly #options: CutFollowerOptions;
  readonly #jobs = new Set<Promise<void>>();
  #wholeSinceMs: number | undefined;
  #idleSinceMs: number | undefined;

  constructor(options: CutFollowerOptions) {
    this.#options = options;
  }

  /** Resolves once the stage is claimed, and fetches it then. Throws why it will not. */
  async accept(request: LoadShardRequest & { cut: ToldCut }): Promise<void> {
    const { model, shards, swarm, events } = this.#options;
    const now = swarm.now();
    const cut = this.#check(request, now);
    const planned = swarm.planned(request.shard.index, cut);
    if (shards.holds(planned)) return;
    if (this.#options.setAside.has(planned.range))
      throw new ShoalError(
        "MOVE_REFUSED",
        `this node's engine failed with shard ${nameOf(planned)} again and again`,
      );
    if (!shards.isSettled())
      throw new ShoalError(
        "BUSY",
        "this node is loading or giving back another shard",
      );
    const gives = this.#makeRoom(planned, now);
    const mostContext = swarm.mostContext();
    events.info(
      "SHARD",
      `loading shard ${nameOf(planned)} for another cut of the model`,
      { version: cut.version },
    );
    await shards.claim(planned, model.mode, { cut, mostContext });
    this.#start(this.#load(planned, gives));
  }

  /** At each change, and every few seconds. */
  look(now: SwarmNow, nowMs: number): void {
    const { shards, events } = this.#options;
    shards.follow(now.cut);
    const isWhole = coverageOf(now).every(({ ready }) => ready.length > 0);
    this.#wholeSinceMs = isWhole ? (this.#wholeSinceMs ?? nowMs) : undefined;
    const pending = now.otherCuts.filter((c) => c.version > now.cut.version);
    const isWorkedOn = now.announcements.some(
      (a) => isClaim(a) && pending.some((cut) => follows(a.cut, cut)),
    );
    this.#idleSinceMs = isWorkedOn ? undefined : (this.#idleSinceMs ?? nowMs);
    for (const { planned, cut, state } of shards.movable()) {
      if (state === "draining" || isStage(planned.range, now.cut)) continue;
      const isPending = pending.some((other) => sameCut(other, cut));
      const [sinceMs, afterMs, why] = isPending
        ? ([
            this.#idleSinceMs,
            FOLLOW.stalledMs,
            "nobody goes on with the change of the cut",
          ] as const)
        : ([
            this.#wholeSinceMs,
            FOLLOW.wholeMs,
            `the model is cut elsewhere now, and every layer is held (cut ${now.cut.version})`,
          ] as const);
      if (sinceMs === undefined || nowMs - sinceMs < afterMs) continue;
      events.info("SHARD", `giving back shard ${nameOf(planned)}: ${why}`);
      this.#start(this.#giveBack(planned, !isPending));
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#jobs);
  }

  #check(
    {
      manifest,
      shard,
      layerStart,
      layerEnd,
      cut: told,
    }: LoadShardRequest & { cut: ToldCut },
    now: SwarmNow,
  ): Cut {
    const { model, mayMove } = this.#options;
    if (manifest !== model.id)
      throw new ShoalError(
        "CLUSTER_MODEL_MISMATCH",
        `this node serves another model, ${model.id}`,
        { manifest: model.id },
      );
    const cut = cutOf(told, model.manifest, now.cut.ranges.length);
    const range = cut?.ranges[shard.index];
    if (
      cut === undefined ||
      range?.layerStart !== layerStart ||
      range.layerEnd !== layerEnd
    )
      throw new ShoalError(
        "MODEL_SHARDS",
        `layers ${layerStart}-${layerEnd - 1} are not stage ${shard.index} of a cut of this model`,
      );
    const refuse = (why: string): never => {
      throw new ShoalError("MOVE_REFUSED", why, { version: told.version });
    };
    if (!mayMove())
      refuse("this node's layers do not follow the cut now (--move)");
    if (cut.version !== now.cut.version + 1)
      refuse(
        `cut ${now.cut.version} is in force, which cut ${cut.version} does not follow`,
      );
    if (
      now.otherCuts.some((c) => c.version > now.cut.version && !sameCut(c, cut))
    )
      refuse("another change of the cut is on its way");
    return cut;
  }

  /** What of its standbys it must give back. Throws MEMORY_INSUFFICIENT. */
  #makeRoom(planned: PlannedShard, now: SwarmNow): PlannedShard[] {
    const { peer, swarm, freeMemoryBytes } = this.#options;
    const [shard] = planShards(planned.manifest, [planned.range]);
    const needs = shard === undefined ? 0 : needsOf(shard, now).totalBytes;
    let usable = usableBytes(freeMemoryBytes());
    const gives: PlannedShard[] = [];
    for (const standby of spareOf(coverageOf(now), peer)) {
      if (usable >= needs) break;
      usable += needsOf(standby, now).totalBytes;
      gives.push(swarm.planned(standby.index, now.cut));
    }
    if (usable >= needs) return gives;
    throw new ShoalError(
      "MEMORY_INSUFFICIENT",
      `shard ${nameOf(planned)} needs ${formatBytes(needs)} beside what this node holds; only ${formatBytes(usable)} is available`,
      { needBytes: needs, freeBytes: usable },
    );
  }

  async #load(
    planned: PlannedShard,
    gives: readonly PlannedShard[],
  ): Promise<void> {
    const { shards, model, events } = this.#options;
    try {
      for (const given of gives) {
        const why = `its memory is needed for shard ${nameOf(planned)}`;
        events.info("SHARD", `giving back shard ${nameOf(given)}: ${why}`);
        await shards.release(given);
      }
      await shards.fetch(model, planned);
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      if (code === "ABORTED") return;
      const what = `could not load shard ${nameOf(planned)}: ${message}`;
      events.warn("SHARD", what, { code });
    }
  }

  async #giveBack(planned: PlannedShard, hasMoved: boolean): Promise<void> {
    const { shards, onMoved, settle } = this.#options;
    await shards.release(planned);
    if (hasMoved) onMoved();
    if (shards.count === 0) await settle();
  }

  #start(job: Promise<void>): void {
    const done = job.catch((error: unknown) => {
      const { code, message } = ShoalError.from(error);
      if (code !== "ABORTED")
        this.#options.events.error("SHARD", message, { code });
    });
    this.#jobs.add(done);
    void done.finally(() => this.#jobs.delete(done));
  }
}
