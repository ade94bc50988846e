/**
 * The shards of one node. Each is claimed, found on disk or fetched, loaded, offered for sessions, and given back; at every step the
 * cluster hears what became fact.
 */
import type { Membership, OwnState } from "../cluster/index.ts";
import type { NodeState, OwnShardStatus } from "../status/index.ts";
import {
  servePartsOf,
  fetchShard,
  type PlannedShard,
  type ServedModel,
  type ShardSource,
  type MemberFiles,
} from "../weights/index.ts";
import {
  ENGINE_DEFAULTS,
  StageEngine,
  type StageEngineOptions,
} from "../engine/index.ts";
import type { StageService } from "../inference/index.ts";
import {
  type EventSink,
  formatBytes,
  formatMs,
  ShoalError,
  VERSION,
} from "../lib/index.ts";
import { type LayerRange, planLayers, shardCounts } from "../model/index.ts";
import type { Commands } from "../network/index.ts";
import { engineOf, memoryOf } from "./engine-facts.ts";

export interface NodeShardsOptions {
  commands: Commands;
  membership: Membership;
  files: MemberFiles;
  stages: StageService;
  events: EventSink;
  /** Tokens of one session; a model of fewer takes its own. */
  contextLength: number;
  sessions: number;
  threads: number;
  computesOn: Pick<StageEngineOptions, "backend" | "device" | "gpuLayers">;
  /** A shard that lies in the operator's folder. */
  local: (planned: PlannedShard) => Promise<ShardSource | undefined>;
  /** Told of each shard that is loaded and announced. */
  onReady: (planned: PlannedShard) => void;
  signal: AbortSignal;
}

/** Running sessions have this long to end when a shard is given back or the node stops. */
const DRAIN_TIMEOUT_MS = 30_000;

/** The cluster hears of a download's progress this often. */
const PROGRESS_MS = 5_000;

interface Own {
  readonly planned: PlannedShard;
  /** Taken over because nobody else held it. */
  readonly takenOver: boolean;
  state: NodeState;
  progress?: { doneBytes: number; sizeBytes: number } | undefined;
  /** When the cluster last heard of the progress. */
  toldMs?: number;
  sizeBytes?: number;
  path?: string;
  engine?: StageEngine;
  /** Ends its fetching. */
  readonly given: AbortController;
}

export class NodeShards {
  #options: NodeShardsOptions;
  #owns: Own[] = [];
  /** Models whose manifest and metadata are served. */
  #served = new Set<string>();

  constructor(options: NodeShardsOptions) {
    this.#options = options;
  }

  /** Of the models a node holds shards of there is one: its cluster's. */
  get manifest(): string | undefined {
    return this.#owns[0]?.planned.id;
  }

  /** Shards taken on since nobody else held them. */
  takenOver(): PlannedShard[] {
    return this.#owns.filter((o) => o.takenOver).map(({ planned }) => planned);
  }

  holds({ range }: Pick<PlannedShard, "range">): boolean {
    return this.#find(range) !== undefined;
  }

  /** Loads a shard that lies on disk and offers it. */
  async load(planned: PlannedShard, source: ShardSource): Promise<void> {
    const own = this.#add(planned, false, "loading");
    await this.#load(own, source);
    await this.#announce(own);
  }

  /** Those that are loaded. */
  ready(): PlannedShard[] {
    return this.#owns
      .filter((o) => o.state === "ready")
      .map(({ planned }) => planned);
  }

  /** Says that this node will hold the shard, so that others take another. */
  async claim(planned: PlannedShard, takenOver = false): Promise<void> {
    const own = this.#add(planned, takenOver, "joining");
    try {
      await this.#announce(own);
    } catch (error) {
      await this.#forget(own);
      throw error;
    }
  }

  /** Gives a claim up. */
  async unclaim({ range }: PlannedShard): Promise<void> {
    const own = this.#find(range);
    if (own?.state === "joining") await this.#forget(own);
  }

  /**
   * Finds or fetches a claimed shard, loads and offers it. Throws what failed, the shard then being no longer claimed; ABORTED where it
   * was given back meanwhile.
   */
  async fetch(model: ServedModel, planned: PlannedShard): Promise<void> {
    const { files, events, local } = this.#options;
    const own = this.#find(planned.range);
    if (own === undefined)
      throw new ShoalError(
        "INTERNAL",
        "a shard must be claimed before it is fetched",
      );
    const signal = AbortSignal.any([this.#options.signal, own.given.signal]);
    try {
      let source = await local(planned);
      if (source === undefined) {
        this.#become(own, "downloading");
        source = await fetchShard(model, planned.range, {
          files,
          events,
          signal,
          onProgress: (progress) => this.#onProgress(own, progress),
        });
      }
      signal.throwIfAborted();
      own.progress = undefined;
      this.#become(own, "loading");
      await this.#load(own, source);
      if (own.given.signal.aborted) await own.engine?.stop();
      signal.throwIfAborted();
      await this.#announce(own);
      events.info("CLUSTER", "announced as ready, confirmed", {
        shard: nameOf(planned),
      });
      this.#options.onReady(planned);
    } catch (error) {
      await this.#forget(own);
      throw error;
    }
  }

  /** Takes no new session for the shard, lets the running ones end, unloads it, and says so. Its file stays, and is seeded on. */
  async release({ range }: Pick<PlannedShard, "range">): Promise<void> {
    const own = this.#find(range);
    if (own === undefined) return;
    this.#become(own, "draining");
    own.given.abort(new ShoalError("ABORTED", "the shard was given back"));
    if (own.engine !== undefined) {
      await this.#options.stages.release(own.engine, DRAIN_TIMEOUT_MS);
      await own.engine.stop();
    }
    await this.#forget(own);
    this.#options.events.info("SHARD", "gave the shard back", {
      shard: nameOf(own.planned),
    });
  }

  /** No new session on any shard; running ones end, or fail after their time. */
  async drain(): Promise<void> {
    for (const own of this.#owns) this.#become(own, "draining");
    await this.#options.stages.drain(DRAIN_TIMEOUT_MS);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#owns.map(async ({ engine }) => engine?.stop()));
  }

  /** The plan of a model that this node holds a shard of. */
  readonly planOf = (id: string, count: number): LayerRange[] | undefined => {
    const own = this.#owns.find(({ planned }) => planned.id === id);
    const manifest = own?.planned.manifest;
    // The number is what others announce.
    if (manifest === undefined || !shardCounts(manifest).includes(count))
      return undefined;
    return planLayers(manifest, count);
  };

  statuses(): OwnShardStatus[] {
    return this.#owns.map((own) => {
      const { planned, state, engine, progress, takenOver, sizeBytes } = own;
      const { sessions, msPerToken } = this.#statsOf(own);
      return {
        ...planned.number,
        ...planned.range,
        manifest: planned.id,
        model: planned.manifest.name,
        state,
        sizeBytes: sizeBytes ?? null,
        memoryBytes: memoryOf(engine?.info) ?? null,
        engine: engineOf(engine?.info) ?? null,
        contextLength: engine?.info?.contextLength ?? null,
        progress: progress ?? null,
        sessions,
        msPerToken: msPerToken ?? null,
        takenOver,
      };
    });
  }

  /** What the shards took of the GPUs. Where the driver does not tell, their files' size: it is on them as it is in the file. */
  onGpusBytes(): number {
    const sizes = this.#owns.map(({ engine, sizeBytes = 0 }) =>
      Math.max(engine?.info?.gpuBytes ?? 0, sizeBytes),
    );
    return sizes.reduce((sum, bytes) => sum + bytes, 0);
  }

  #onProgress(own: Own, progress: NonNullable<Own["progress"]>): void {
    own.progress = progress;
    const nowMs = performance.now();
    if (nowMs - (own.toldMs ?? 0) < PROGRESS_MS) return;
    own.toldMs = nowMs;
    this.#announceLater(own);
  }

  #add(planned: PlannedShard, takenOver: boolean, state: NodeState): Own {
    const own: Own = {
      planned,
      takenOver,
      state,
      given: new AbortController(),
    };
    this.#owns.push(own);
    return own;
  }

  #statsOf({ engine }: Own): ReturnType<StageService["statsOf"]> {
    if (engine === undefined)
      return { sessions: { active: 0, max: 0 }, msPerToken: undefined };
    return this.#options.stages.statsOf(engine);
  }

  /** Loads the shard's file and offers it for sessions. */
  async #load(own: Own, source: ShardSource): Promise<void> {
    const { commands, stages } = this.#options;
    const engine = this.#engineOf(source);
    own.engine = engine;
    own.sizeBytes = source.shard.sizeBytes;
    own.path = source.shard.path;
    this.#tellPrimary();
    await this.#start(engine, source);
    if (!this.#served.has(source.id)) servePartsOf(commands, source);
    this.#served.add(source.id);
    const { range, number: shard } = own.planned;
    stages.hold({ manifest: source.id, ...range, shard, engine });
    engine.onDown(() => this.#become(own, "loading"));
    engine.onUp(() => this.#become(own, "ready"));
    engine.onSilence((silent) =>
      this.#become(own, silent ? "loading" : "ready"),
    );
    own.state = "ready";
  }

  #engineOf({ shard, manifest }: ShardSource): StageEngine {
    const { contextLength, sessions, threads, events, computesOn } =
      this.#options;
    let shownMs = 0;
    return new StageEngine({
      path: shard.path,
      contextLength: Math.min(contextLength, manifest.contextLength),
      sessions,
      batchTokens: ENGINE_DEFAULTS.batchTokens,
      threads,
      ...computesOn,
      events,
      onProgress: (fraction) => {
        if (fraction < 1 && performance.now() - shownMs < 500) return;
        shownMs = performance.now();
        const percent = `${Math.round(fraction * 100)} %`;
        events.info("TENSOR_LOAD", percent, { file: shard.path });
      },
    });
  }

  async #start(
    engine: StageEngine,
    { shard, manifest }: ShardSource,
  ): Promise<void> {
    const { events, threads } = this.#options;
    const { layerStart, layerEnd, sizeBytes, path } = shard;
    events.info("TENSOR_LOAD", "loading the shard", {
      file: path,
      size: formatBytes(sizeBytes),
      architecture: manifest.architecture,
    });
    const info = await engine.start();
    events.info("SHARD", "loaded: validated, mapped, dry run done", {
      layers: `${layerStart}-${layerEnd - 1}`,
      model: manifest.name,
      file: path,
      size: formatBytes(sizeBytes),
      loaded: formatMs(info.loadMs),
      dryRun: formatMs(info.dryRunMs),
      memory: formatBytes(memoryOf(info) ?? 0),
      context: info.contextLength,
      threads,
      engine: engineOf(info),
    });
  }

  #become(own: Own, state: NodeState): void {
    if (own.state === "draining") return; // from there only to nothing
    own.state = state;
    this.#announceLater(own);
  }

  /** What the node says of a shard, asked at each announcement. */
  #say(own: Own): OwnState {
    const { planned, state, engine, progress, takenOver } = own;
    const { id, manifest, range, number } = planned;
    return {
      ...range,
      ...this.#statsOf(own),
      manifest: id,
      model: manifest.name,
      layerCount: manifest.layerCount,
      shard: number,
      state,
      contextLength: engine?.info?.contextLength ?? 0,
      batchTokens: engine?.batchTokens ?? 0,
      memoryBytes: memoryOf(engine?.info),
      engine: engineOf(engine?.info),
      takenOver,
      progress,
      version: VERSION,
    };
  }

  /** Tells every rendezvous. Rejects with the first refusal. */
  async #announce(own: Own): Promise<void> {
    await this.#options.membership.hold(() => this.#say(own));
  }

  #announceLater(own: Own): void {
    this.#announce(own).catch((error: unknown) => {
      const { code, message } = ShoalError.from(error);
      const what = `could not announce the state ${own.state}: ${message}`;
      this.#options.events.warn("CLUSTER", what, { code });
    });
  }

  #tellPrimary(): void {
    const paths = this.#owns.flatMap(({ path }) => path ?? []);
    this.#options.files.setPrimary(paths);
  }

  async #forget(own: Own): Promise<void> {
    this.#owns = this.#owns.filter((o) => o !== own);
    this.#tellPrimary();
    await this.#options.membership.release(own.planned.range);
  }

  #find(range: LayerRange): Own | undefined {
    return this.#owns.find(({ planned }) => sameRange(planned.range, range));
  }
}

/** "3/8 (layers 12-15)" */
export function nameOf({ number, range }: PlannedShard): string {
  return `${number.index}/${number.count} (layers ${range.layerStart}-${range.layerEnd - 1})`;
}

function sameRange(a: LayerRange, b: LayerRange): boolean {
  return a.layerStart === b.layerStart && a.layerEnd === b.layerEnd;
}
