/**
 * The shards of one node. Each is claimed, found on disk or fetched, loaded, offered for sessions, and given back; at every step the
 * cluster hears what became fact.
 */
import type { Announcement, Membership } from "../cluster/index.ts";
import type { NodeState, OwnShardStatus } from "../status/index.ts";
import {
  servePartsOf,
  fetchShard,
  type LayersOnDisk,
  type PlannedShard,
  type ServedModel,
  type ShardSource,
  type MemberFiles,
} from "../weights/index.ts";
import { EngineHost, type StageEngineOptions } from "../engine/index.ts";
import type { StageService } from "../inference/index.ts";
import {
  type ComputeMode,
  computeModeOf,
  type EventSink,
  type SaidMode,
  ShoalError,
} from "../lib/index.ts";
import { type LayerRange, type Manifest, shardCounts } from "../model/index.ts";
import type { Commands } from "../network/index.ts";
import { type Cut, cutsOf, firstCut } from "../placement/index.ts";
import { announced, type ClaimHow, type Own, shown } from "./own-shard.ts";
import type { SetAside } from "./set-aside.ts";
import { roomOfShard, type ShardRoom } from "./shard-room.ts";
import { engineFor, startEngine } from "./shard-engine.ts";

export interface NodeShardsOptions {
  commands: Commands;
  membership: Membership;
  files: MemberFiles;
  stages: StageService;
  events: EventSink;
  /** Tokens of one session; a model of fewer takes its own. Undefined: as far as memory allows. */
  contextLength: number | undefined;
  sessions: number;
  /** Memory that one more shard may take. */
  usableBytes: () => number;
  threads: number;
  /** Where engines keep what they measure at load. */
  tablesPath: string;
  /** Where they keep what they computed for sessions that ended, and how much of it. */
  kept: { folder: string; bytes: number };
  /** What its operator said of how it computes; the cluster's record says the rest. */
  mode: SaidMode;
  computesOn: Pick<StageEngineOptions, "backend" | "device" | "gpuLayers">;
  /** Whether its layers follow the cut, at the moment. */
  move: () => Announcement["move"];
  /** It keeps standbys. */
  standby: boolean;
  /** The layers of a model that it could load without fetching. */
  onDisk: (manifest: Manifest) => LayersOnDisk;
  /** A shard that lies in the operator's folder. */
  local: (planned: PlannedShard) => Promise<ShardSource | undefined>;
  /** What it gave up. */
  setAside: SetAside;
  /** Told of each shard that was given up, after it was; `isExtra`: held beside the node's own. */
  onGivenUp: (error: ShoalError, isExtra: boolean) => void;
  /** Told of each shard that is loaded and announced. */
  onReady: (planned: PlannedShard) => void;
  signal: AbortSignal;
}

/** Running sessions have this long to end when a shard is given back or the node stops. */
const DRAIN_TIMEOUT_MS = 30_000;

/** The cluster hears of a download's progress this often. */
const PROGRESS_MS = 5_000;

export class NodeShards {
  #options: NodeShardsOptions;
  #owns: Own[] = [];
  /** All shards are computed by one process. */
  readonly #host = new EngineHost();
  /** Models whose manifest and metadata are served. */
  #served = new Set<string>();
  #cut: Cut | undefined;

  constructor(options: NodeShardsOptions) {
    this.#options = options;
  }

  /** Of the models a node holds shards of there is one: its cluster's. */
  get manifest(): string | undefined {
    return this.#owns[0]?.planned.id;
  }

  /** Shards taken on since nobody else held them, and standbys; without those that are being given back. */
  takenOver(): PlannedShard[] {
    return this.#owns
      .filter((o) => o.takenOver === true && o.state !== "draining")
      .map(({ planned }) => planned);
  }

  /** Those that a cut may take away. */
  movable(): { planned: PlannedShard; cut: Cut; state: NodeState }[] {
    return this.#owns.flatMap(({ planned, cut, state }) =>
      cut === undefined ? [] : [{ planned, cut, state }],
    );
  }

  /** Nothing is being loaded or given back. */
  isSettled(): boolean {
    return this.#owns.every(({ state }) => state === "ready");
  }

  get count(): number {
    return this.#owns.length;
  }

  /** The cut in force, which the announcements tell from now on. */
  follow(cut: Cut): void {
    this.#cut = cut;
  }

  holds({ range }: Pick<PlannedShard, "range">): boolean {
    return this.#find(range) !== undefined;
  }

  /** Loads a shard that lies on disk and offers it. */
  async load(planned: PlannedShard, source: ShardSource): Promise<void> {
    const mode = computeModeOf(this.#options.mode);
    const own = this.#add(planned, mode, "loading");
    own.room = this.#roomOf(own);
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
  async claim(
    planned: PlannedShard,
    mode: ComputeMode,
    how: ClaimHow = {},
  ): Promise<void> {
    const own = this.#add(planned, mode, "joining", how);
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
      own.room = this.#roomOf(own);
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
  readonly planOf = (
    id: string,
    count: number,
  ): readonly LayerRange[] | undefined => {
    const own = this.#owns.find(({ planned }) => planned.id === id);
    const manifest = own?.planned.manifest;
    // The number is what others announce.
    if (manifest === undefined || !shardCounts(manifest).includes(count))
      return undefined;
    const announcements = this.#options.membership
      .announcements()
      .filter((a) => a.manifest === id);
    const first = firstCut(manifest, count);
    return cutsOf({ model: manifest, first, announcements }).inForce.ranges;
  };

  statuses(): OwnShardStatus[] {
    return this.#owns.map((own) => shown(own, this.#statsOf(own)));
  }

  /** What the shards took of the GPUs. Where the driver does not tell, their files' size: it is on them as it is in the file. */
  onGpusBytes(): number {
    const sizes = this.#owns.map(({ engine, sizeBytes = 0 }) =>
      Math.max(engine?.info?.gpuBytes ?? 0, sizeBytes),
    );
    return sizes.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** What its shards were given. */
  totalBytes(): number {
    return this.#owns.reduce(
      (sum, { room }) => sum + (room?.totalBytes ?? 0),
      0,
    );
  }

  /** Of that, what they do not have in memory yet: it looks free, but is theirs. */
  awaitedBytes(): number {
    // Of the one process of all.
    const resident = this.#owns.map(
      ({ engine }) => engine?.info?.rssBytes ?? 0,
    );
    return Math.max(0, this.totalBytes() - Math.max(0, ...resident));
  }

  #roomOf({ planned, mode, mostContext }: Own): ShardRoom {
    const { events, usableBytes } = this.#options;
    const wish = { ...this.#options, mostContext, bytes: usableBytes() };
    return roomOfShard(planned, mode, wish, events);
  }

  #onProgress(own: Own, progress: NonNullable<Own["progress"]>): void {
    own.progress = progress;
    const nowMs = performance.now();
    if (nowMs - (own.toldMs ?? 0) < PROGRESS_MS) return;
    own.toldMs = nowMs;
    this.#announceLater(own);
  }

  #add(
    planned: PlannedShard,
    mode: ComputeMode,
    state: NodeState,
    how: ClaimHow = {},
  ): Own {
    const given = new AbortController();
    const own: Own = { planned, mode, state, given, ...how };
    this.#owns.push(own);
    return own;
  }

  #statsOf({ engine }: Own): ReturnType<StageService["statsOf"]> {
    if (engine === undefined)
      return {
        sessions: { active: 0, max: 0 },
        kvTokens: { free: 0, total: 0 },
        msPerToken: undefined,
      };
    return this.#options.stages.statsOf(engine);
  }

  /** Loads the shard's file and offers it for sessions. */
  async #load(own: Own, source: ShardSource): Promise<void> {
    const { commands, stages } = this.#options;
    const engine = engineFor(this.#host, own, source, this.#options);
    own.engine = engine;
    own.sizeBytes = source.shard.sizeBytes;
    own.path = source.shard.path;
    this.#tellPrimary();
    await startEngine(engine, source, this.#options);
    if (!this.#served.has(source.id)) servePartsOf(commands, source);
    this.#served.add(source.id);
    const { mode, room, planned } = own;
    const { range, number: shard } = planned;
    const kv = room && { kvTokens: room.kvTokens };
    stages.hold({ manifest: source.id, ...range, shard, engine, mode, ...kv });
    engine.onDown(() => this.#become(own, "loading"));
    engine.onUp(() => this.#become(own, "ready"));
    engine.onSilence((silent) =>
      this.#become(own, silent ? "loading" : "ready"),
    );
    engine.onGivenUp((error) => void this.#giveUp(own, error));
    own.state = "ready";
    this.#options.setAside.holds(range);
  }

  /** Its engine cannot be helped: others may take the shard, and this node another one. */
  async #giveUp(own: Own, error: ShoalError): Promise<void> {
    this.#options.setAside.add(own.planned, error);
    // The cluster hears of it at the latest when what it knows grows old.
    await this.release(own.planned).catch(() => {});
    this.#options.onGivenUp(error, own.takenOver === true);
  }

  #become(own: Own, state: NodeState): void {
    if (own.state === "draining") return; // from there only to nothing
    own.state = state;
    this.#announceLater(own);
  }

  /** Tells every rendezvous. Rejects with the first refusal. */
  async #announce(own: Own): Promise<void> {
    const { membership, standby, move, onDisk } = this.#options;
    // Asked at each announcement.
    await membership.hold(() =>
      announced(own, this.#statsOf(own), {
        cut: this.#cut,
        move: move(),
        standby,
        onDisk: onDisk(own.planned.manifest),
      }),
    );
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
