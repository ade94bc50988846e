/**
 * Shards that a node holds beside its own, as `src/placement` decides: it takes over what nobody holds any more, keeps standbys of what only
 * one holds, takes what a member asks it to, and gives all of these back when they are not needed or their memory is.
 */
import {
  type EventSink,
  formatBytes,
  ShoalError,
  sleep,
} from "../lib/index.ts";
import type { Membership } from "../cluster/index.ts";
import {
  type AdoptionInput,
  COPIES,
  type Cut,
  type CoverageHistory,
  coverageOf,
  needsOf,
  NO_HISTORY,
  observeCoverage,
  shouldGiveBack,
  standbys,
  type TakeOver,
  takeOvers,
  usableBytes,
  whatFits,
} from "../placement/index.ts";
import type { PlannedShard, ServedModel } from "../weights/index.ts";
import type { ModelSwarm, SwarmNow } from "./model-swarm.ts";
import { nameOf, type NodeShards } from "./node-shards.ts";
import type { SetAside } from "./set-aside.ts";
import { isStage } from "./own-shard.ts";

export interface ExtraShardsOptions {
  /** This node. */
  peer: string;
  model: ServedModel;
  membership: Membership;
  swarm: ModelSwarm;
  shards: NodeShards;
  /** What it does not take now. */
  setAside: SetAside;
  /** It keeps standbys. */
  standby: boolean;
  freeMemoryBytes: () => number;
  /** The machine has less memory left than its shards were promised. */
  isMemoryShort: () => boolean;
  events: EventSink;
  signal: AbortSignal;
}

const EXTRA_DEFAULTS = Object.freeze({
  /** Nothing changed: times pass all the same. */
  watchMs: 2_000,
  /** Between two looks: changes come in bursts. */
  restMs: 100,
  /** After a failure another node may do it; then this one tries again, each time after twice as long. */
  failedMs: 30_000,
  failedMostMs: 600_000,
  /** Memory that is short for a moment only is nothing to act upon. */
  shortMs: 10_000,
});

export class ExtraShards {
  readonly #options: ExtraShardsOptions;
  #history: CoverageHistory = NO_HISTORY;
  #isTaking = false;
  /** What it began and is not through with: the watch does not wait for a fetch or a drain. */
  readonly #jobs = new Set<Promise<void>>();
  /** By the shards' numbers. */
  readonly #failed = new Map<number, { untilMs: number; waitMs: number }>();
  #shortSinceMs: number | undefined;

  constructor(options: ExtraShardsOptions) {
    this.#options = options;
  }

  /** Looks at each change, until the signal; then waits for what it began. */
  async watch(): Promise<void> {
    const { signal, events, membership } = this.#options;
    const changes = { since: true, tell: (): void => {} };
    const unsubscribe = membership.onChange(() => {
      changes.since = true;
      changes.tell();
    });
    while (!signal.aborted) {
      changes.since = false;
      try {
        await this.#look();
      } catch (error) {
        if (signal.aborted) break;
        const { code, message } = ShoalError.from(error);
        const what = `could not take over a shard: ${message}`;
        events.warn("SHARD", what, { code });
      }
      await sleep(EXTRA_DEFAULTS.restMs, signal).catch(() => {});
      if (!changes.since) await this.#change(changes);
    }
    unsubscribe();
    await Promise.all(this.#jobs);
  }

  /**
   * A member asks for one more shard. Throws CLUSTER_MODEL_MISMATCH, MODEL_SHARDS or MEMORY_INSUFFICIENT; resolves once the shard is
   * claimed, and fetches it then.
   */
  async accept(request: { manifest: string; index: number }): Promise<void> {
    const { model, shards, freeMemoryBytes, swarm, events } = this.#options;
    if (request.manifest !== model.id) {
      throw new ShoalError(
        "CLUSTER_MODEL_MISMATCH",
        `this node serves another model, ${model.id}`,
        { manifest: model.id },
      );
    }
    const now = swarm.now();
    const shard = now.shards[request.index];
    if (shard === undefined) {
      throw new ShoalError(
        "MODEL_SHARDS",
        `there is no shard ${request.index} of ${now.shards.length}: they are numbered 0 to ${now.shards.length - 1}`,
        { index: request.index, count: now.shards.length },
      );
    }
    const planned = swarm.planned(shard.index, now.cut);
    if (shards.holds(planned)) return;
    const usable = usableBytes(freeMemoryBytes());
    const needs = needsOf(shard, now).totalBytes;
    if (needs > usable) {
      throw new ShoalError(
        "MEMORY_INSUFFICIENT",
        `shard ${nameOf(planned)} needs ${formatBytes(needs)}; only ${formatBytes(usable)} is available. ${whatFits(usable, model.manifest, planned.range, now)}`,
        { needBytes: needs, freeBytes: usable },
      );
    }
    events.info(
      "SHARD",
      `taking shard ${nameOf(planned)}: a member asked for it`,
    );
    await this.#begin(planned, now.cut);
  }

  /** Resolves with the next change, or after a while. */
  async #change(changes: { tell: () => void }): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, over.signal]);
    await Promise.race([
      new Promise<void>((resolve) => {
        changes.tell = resolve;
      }),
      sleep(EXTRA_DEFAULTS.watchMs, signal).catch(() => {}),
    ]);
    over.abort();
  }

  async #look(): Promise<void> {
    const swarm = this.#options.swarm.now();
    // Not the system's clock: that may be set.
    const input = { ...swarm, nowMs: performance.now() };
    this.#history = observeCoverage(this.#history, input);
    const now = { ...input, history: this.#history };
    await this.#takeOne(now);
    this.#giveBack(now);
  }

  async #takeOne(now: AdoptionInput & SwarmNow): Promise<void> {
    if (this.#isTaking) return;
    const { peer, standby, swarm, shards, setAside, events } = this.#options;
    const isMine = (one: TakeOver): boolean =>
      one.peer === peer &&
      !setAside.has(one.shard) &&
      !this.#isFailing(one.shard.index, now.nowMs);
    const lost = takeOvers(now).find(isMine);
    // A standby of a cut that is about to go would be loaded in vain.
    const isMoving = now.otherCuts.some((c) => c.version > now.cut.version);
    const rare = standby && !isMoving ? standbys(now).find(isMine) : undefined;
    const mine = lost ?? rare;
    if (mine === undefined) return;
    const planned = swarm.planned(mine.shard.index, now.cut);
    if (shards.holds(planned)) return;
    const name = nameOf(planned);
    const what =
      lost === undefined
        ? `loading shard ${name} as a standby`
        : `taking over shard ${name}`;
    events.info("SHARD", `${what}: ${mine.reason}`);
    await this.#begin(
      planned,
      now.cut,
      mine.gives.map(({ index }) => swarm.planned(index, now.cut)),
    );
  }

  /** Claims the shard at once, so that nobody else begins too; the rest goes on beside the watch. */
  async #begin(
    planned: PlannedShard,
    cut: Cut,
    gives: readonly PlannedShard[] = [],
  ): Promise<void> {
    const { shards, model, swarm } = this.#options;
    const mostContext = swarm.mostContext();
    const how = { cut, takenOver: true, mostContext };
    await shards.claim(planned, model.mode, how);
    this.#isTaking = true;
    this.#start(
      this.#take(planned, gives).finally(() => {
        this.#isTaking = false;
      }),
    );
  }

  #start(job: Promise<void>): void {
    const done = job.catch((error: unknown) => {
      const { code, message } = ShoalError.from(error);
      this.#options.events.error("SHARD", message, { code });
    });
    this.#jobs.add(done);
    void done.finally(() => this.#jobs.delete(done));
  }

  /** While it is fetched the watch goes on: someone else may have taken it first. */
  async #take(
    planned: PlannedShard,
    gives: readonly PlannedShard[],
  ): Promise<void> {
    const { shards, model, events } = this.#options;
    const { index } = planned.number;
    try {
      for (const given of gives) {
        const why = `its memory is needed for shard ${nameOf(planned)}`;
        events.info("SHARD", `giving back shard ${nameOf(given)}: ${why}`);
        await shards.release(given);
      }
      await shards.fetch(model, planned);
      this.#failed.delete(index);
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      if (code === "ABORTED") return;
      this.#fail(index);
      const what = `could not take over shard ${nameOf(planned)}: ${message}`;
      events.warn("SHARD", what, { code });
    }
  }

  #fail(index: number): void {
    const { failedMs, failedMostMs } = EXTRA_DEFAULTS;
    const before = this.#failed.get(index)?.waitMs ?? 0;
    const waitMs = Math.min(failedMostMs, 2 * before || failedMs);
    this.#failed.set(index, { untilMs: performance.now() + waitMs, waitMs });
  }

  #isFailing(index: number, nowMs: number): boolean {
    return (this.#failed.get(index)?.untilMs ?? 0) > nowMs;
  }

  #giveBack(now: AdoptionInput & SwarmNow): void {
    const { peer, shards, standby, events } = this.#options;
    for (const planned of shards.takenOver()) {
      const shard = now.shards[planned.number.index];
      // One of another cut is for the cut's watch to give back.
      if (shard === undefined || !isStage(planned.range, now.cut)) continue;
      const reason =
        shouldGiveBack({ ...now, peer, shard, standby }) ??
        this.#whyMemory(now, shard.index);
      if (reason === undefined) continue;
      events.info("SHARD", `giving back shard ${nameOf(planned)}: ${reason}`);
      this.#start(shards.release(planned));
    }
  }

  /** Another program needs the machine's memory: what others hold too goes. */
  #whyMemory(now: AdoptionInput, index: number): string | undefined {
    if (!this.#options.isMemoryShort()) {
      this.#shortSinceMs = undefined;
      return undefined;
    }
    this.#shortSinceMs ??= now.nowMs;
    if (now.nowMs - this.#shortSinceMs < EXTRA_DEFAULTS.shortMs)
      return undefined;
    const coverage = coverageOf(now).find((c) => c.shard.index === index);
    if (coverage === undefined || coverage.ready.length < COPIES)
      return undefined;
    this.#shortSinceMs = undefined; // the next one only if that was not enough
    return "the machine's memory is short";
  }
}
