/**
 * A shard node: holds shards, joins the cluster, computes, and shares what lies in its folders.
 *
 * Start, each step logged only after it is a fact: 1. configuration and identity; with a shard on disk 2. engine loaded and dry
 * run, 3. host listening, a rendezvous connected, 4. announced and confirmed. Without one: 3. first, then the shard that was
 * named, or that the cluster needs most, is fetched and put together, 2., 4. Stop: draining, goodbye, then the reverse.
 */
import { totalmem } from "node:os";
import { join } from "node:path";
import type { LoadShardRequest } from "../cluster/index.ts";
import {
  chooseGpu,
  ENGINE_DEFAULTS,
  engineOn,
  findLibraries,
  type GpuChoice,
} from "../engine/index.ts";
import { StageService } from "../inference/index.ts";
import {
  availableMemory,
  type Events,
  type Paths,
  ShoalError,
} from "../lib/index.ts";
import { partsOf } from "../model/index.ts";
import type { Host } from "../network/index.ts";
import { RelayLimits } from "../reach/index.ts";
import {
  DiskLayers,
  fetchModel,
  indexLater,
  keepToOffer,
  MemberFiles,
  type PlannedShard,
  SpareCopies,
  SpareFolder,
} from "../weights/index.ts";
import { dataPlaceOf } from "./data-place.ts";
import { DhtAnnouncer, type ShardOfPlan } from "./dht-announce.ts";
import { joinToStay, lanOf, refuseOtherModel, relaysOf } from "./join.ts";
import {
  nameOfWanted,
  namedShard,
  type ShardFolders,
  unnamedShard,
} from "./local-shard.ts";
import {
  createRoleHost,
  type Member,
  memberOf,
  startMember,
} from "./member.ts";
import { MoveConsent } from "./move-consent.ts";
import { keepsStandbys, type NodeOptions } from "./node-options.ts";
import { NodeShards } from "./node-shards.ts";
import {
  notReadyShards,
  type RoleWatch,
  sessionsOfNode,
  torrentsOfMember,
  watchRole,
} from "./own-status.ts";
import { freeFor, memoryForShards, usableBytes } from "../placement/index.ts";
import {
  composed,
  type Role,
  type RoleContext,
  type RoleInfo,
} from "./role.ts";
import { SetAside } from "./set-aside.ts";
import { ShardTaking, takesMore } from "./shard-taking.ts";

export function startNode(
  options: NodeOptions,
  context: RoleContext,
): Promise<Role> {
  return composed(async (stack) => {
    const { diagnostics, listen } = options;
    const { events, paths } = context;
    const gpu = await chooseGpu(options.gpu);
    for (const line of gpu.problems) events.warn("ENGINE", line);
    const watch = watchRole("node", diagnostics, events);
    const { metrics } = watch;
    const relay =
      options.relay && new RelayLimits({ ...options.relay, events });
    const host = await createRoleHost({
      name: "node",
      listen,
      paths,
      events,
      metrics,
      relay,
    });
    const node = new ShardNode(options, context, host, gpu, relay);
    return await node.start(stack, watch);
  });
}

class ShardNode {
  readonly #options: NodeOptions;
  readonly #gpu: GpuChoice;
  readonly #events: Events;
  readonly #paths: Paths;
  readonly #modelsDir: string;
  readonly #member: Member;
  readonly #stages: StageService;
  readonly #spare: SpareFolder;
  readonly #files: MemberFiles;
  readonly #disk: DiskLayers;
  readonly #shards: NodeShards;
  readonly #setAside: SetAside;
  readonly #taking: ShardTaking;
  readonly #announcer: DhtAnnouncer;
  readonly #stopping = new AbortController();
  readonly #failed = Promise.withResolvers<ShoalError>();
  readonly #signal: AbortSignal;

  constructor(
    options: NodeOptions,
    { events, paths, signal }: RoleContext,
    host: Host,
    gpu: GpuChoice,
    relay: RelayLimits | undefined,
  ) {
    const { cluster, modelDir, sessions, threads, spareBytes = 0 } = options;
    this.#options = options;
    this.#gpu = gpu;
    this.#events = events;
    this.#paths = paths;
    this.#signal = AbortSignal.any([signal, this.#stopping.signal]);
    this.#modelsDir = join(paths.data, "models");
    const about = {
      events,
      cluster,
      capacity: () => ({
        memoryBytes: totalmem(),
        freeMemoryBytes: takesMore(options) ? this.#freeMemory() : 0,
        threads,
      }),
      onLoadShard: (request: LoadShardRequest) => this.#taking.accept(request),
    };
    this.#member = memberOf(host, about, relay);
    const { commands, membership } = this.#member;
    this.#stages = new StageService({
      host,
      commands,
      events,
      dataPlace: dataPlaceOf(options),
      members: () => membership.announcements(),
    });
    this.#spare = new SpareFolder(join(paths.data, "spare"), spareBytes);
    this.#files = new MemberFiles({
      ...options,
      host,
      commands,
      events,
      keyPath: join(paths.state, "transfer.key"),
      directories: [
        this.#modelsDir,
        ...(modelDir === undefined ? [] : [modelDir]),
        ...(spareBytes > 0 ? [this.#spare.directory] : []),
      ],
      spareDir: spareBytes > 0 ? this.#spare.directory : undefined,
      stateDir: paths.state,
    });
    this.#disk = new DiskLayers(this.#files);
    this.#setAside = new SetAside({ events, stateDir: paths.state });
    const consent = new MoveConsent(options, paths.state);
    this.#shards = new NodeShards({
      commands,
      membership,
      files: this.#files,
      stages: this.#stages,
      events,
      contextLength: options.contextLength,
      sessions,
      usableBytes: () => usableBytes(this.#freeMemory()),
      threads,
      tablesPath: join(paths.state, "engine-tables.json"),
      kept: {
        folder: join(paths.data, "kept"),
        bytes: options.cacheBytes ?? ENGINE_DEFAULTS.keptBytes,
      },
      mode: { kv: options.kv, batch: options.batch },
      computesOn: engineOn(gpu, options.gpuLayers),
      move: () => consent.announced,
      standby: keepsStandbys(options),
      // One that takes no other shard has no use for it.
      onDisk: (manifest) => (takesMore(options) ? this.#disk.of(manifest) : []),
      local: (planned) => unnamedShard(this.#folders(), planned),
      setAside: this.#setAside,
      onGivenUp: (error, isExtra) => {
        if (options.shard === undefined) void this.#taking.takeAnother();
        else if (!isExtra) this.#failed.resolve(error);
      },
      onReady: (planned) => void this.#announcer.shardReady(asInPlan(planned)),
      signal: this.#signal,
    });
    this.#taking = new ShardTaking({
      peer: host.peerId,
      node: options,
      commands,
      membership,
      files: this.#files,
      modelsDir: this.#modelsDir,
      shards: this.#shards,
      setAside: this.#setAside,
      consent,
      engineVersion: () => findLibraries(gpu.backend).version,
      freeMemoryBytes: () => this.#freeMemory(),
      isMemoryShort: () =>
        gpu.devices.length === 0 &&
        availableMemory() < this.#shards.awaitedBytes(),
      events,
      signal: this.#signal,
    });
    this.#announcer = new DhtAnnouncer({ host, membership, events, cluster });
  }

  async start(
    stack: AsyncDisposableStack,
    watch: RoleWatch,
  ): Promise<RoleInfo & Pick<Role, "drain" | "failed">> {
    const { host } = this.#member;
    const { promise: givenUp } = this.#failed;
    const failed = Promise.race([this.#member.failed, givenUp]);
    // Also while it loads or fetches.
    void failed.then((error) => this.#stopping.abort(error));
    const at = await this.#show(stack, watch);
    this.#events.info(
      "CONFIG",
      `shard node of cluster ${this.#options.cluster}`,
      {
        shard: nameOfWanted(this.#options.shard),
        bootstrap: this.#options.bootstraps,
        peer: host.peerId,
      },
    );
    await this.#share(stack);
    const named = await namedShard(this.#folders());
    stack.defer(() => this.#setAside.kept());
    stack.defer(() => this.#shards.stop());
    if (named !== undefined) await this.#shards.load(named, named);
    await this.#listen(stack);
    await this.#join(stack);
    if (named === undefined) await this.#taking.takeFirst();
    else void this.#taking.takeMoreLater();
    this.#keepSpareCopies(stack);
    return {
      failed,
      peerId: host.peerId,
      addresses: host.addresses(),
      drain: () => this.#shards.drain(),
      ...(at && { diagnosticsUrl: at.url }),
    };
  }

  async #show(
    stack: AsyncDisposableStack,
    watch: RoleWatch,
  ): Promise<{ url: string } | undefined> {
    const { host, commands, membership } = this.#member;
    const shards = this.#shards;
    return await watch.start(stack, {
      host,
      commands,
      notReady: () =>
        notReadyShards(shards.statuses(), this.#setAside.reason()),
      clusters: () => [membership.status(shards.planOf)],
      shards: () => shards.statuses(),
      givenUp: () => this.#setAside.list(),
      plan: () => this.#taking.plan(),
      torrents: () => torrentsOfMember(this.#files, membership.published()),
      sessions: () => sessionsOfNode(this.#stages, shards.statuses()),
    });
  }

  /** A node that has its shard and keeps nothing for others may share nothing. */
  async #share(stack: AsyncDisposableStack): Promise<void> {
    const { seed, modelDir, shard, spareBytes = 0 } = this.#options;
    stack.defer(() => this.#files.stop());
    stack.defer(() => this.#disk.stop());
    const isLocal = modelDir !== undefined && shard !== undefined;
    const keepsNone = spareBytes === 0 && !takesMore(this.#options);
    if (!seed && isLocal && keepsNone) return;
    await this.#files.start();
    indexLater(this.#files, this.#events);
  }

  async #listen(stack: AsyncDisposableStack): Promise<void> {
    this.#stages.start();
    await startMember(stack, this.#member);
    // Not before: of two nodes with one home the second does not come so far.
    stack.defer(keepToOffer(this.#spare, this.#events));
    stack.defer(() => this.#stages.stop());
  }

  async #join(stack: AsyncDisposableStack): Promise<void> {
    const { host, commands, membership, puncher } = this.#member;
    const endReport = await joinToStay(stack, {
      ...this.#options,
      host,
      commands,
      puncher,
      membership,
      stateDir: this.#paths.state,
      events: this.#events,
      join: (through) => this.#joinAt(through),
      lan: lanOf(membership),
      relays: () => relaysOf(membership),
      signal: this.#signal,
    });
    stack.defer(() => this.#announcer.stop());
    // Nothing is computed any more: its engines end while the others hear of it.
    stack.defer(async () => {
      await Promise.all([membership.leave(), this.#shards.stop()]);
    });
    stack.defer(() =>
      this.#stopping.abort(new ShoalError("ABORTED", "stopped")),
    );
    stack.defer(endReport);
  }

  async #joinAt(through: string): Promise<void> {
    const { membership } = this.#member;
    await membership.join(through);
    const { manifest } = this.#shards;
    if (manifest !== undefined) refuseOtherModel(membership.view(), manifest);
    const how = manifest === undefined ? "joined" : "announced";
    const isLan = this.#options.bootstraps.length === 0;
    const by = isLan ? "member" : "rendezvous";
    this.#events.info("CLUSTER", `${how}, confirmed by the ${by}`, {
      cluster: this.#options.cluster,
      members: membership.announcements().length,
    });
    await this.#files.syncWith(through);
    void this.#announcer.joined();
    for (const planned of this.#shards.ready())
      void this.#announcer.shardReady(asInPlan(planned));
  }

  #keepSpareCopies(stack: AsyncDisposableStack): void {
    const { cluster, spareBytes = 0 } = this.#options;
    if (spareBytes === 0) return;
    const { commands, membership } = this.#member;
    const files = this.#files;
    const copies = new SpareCopies({
      cluster,
      record: () => membership.published(),
      files,
      manifestOf: async (id, signal) => {
        const directory = join(this.#modelsDir, id);
        const how = { commands, membership, files, signal };
        return (await fetchModel({ ...how, id, directory })).manifest;
      },
      holds: (part) =>
        this.#shards
          .ready()
          .some(({ manifest, range }) =>
            partsOf(manifest, range).some(({ id }) => id === part),
          ),
      spare: this.#spare,
      isIndexed: () => files.isIndexed(),
      wanted: () => new Set([membership.published()?.manifest ?? ""]),
      events: this.#events,
    });
    copies.start();
    stack.defer(() => copies.stop());
  }

  /** Memory that one more shard may take: of the GPU, if it goes there. */
  #freeMemory(): number {
    const { memoryBytes, gpuLayers } = this.#options;
    const free = memoryForShards({
      // Pages of keys and values come as sessions use them.
      availableBytes: Math.max(
        0,
        availableMemory() - this.#shards.awaitedBytes(),
      ),
      gpus: this.#gpu.devices,
      onGpusBytes: this.#shards.onGpusBytes(),
      isPartly: gpuLayers !== undefined,
    });
    if (memoryBytes === undefined) return free;
    const left = Math.max(0, memoryBytes - this.#shards.totalBytes());
    return Math.min(free, freeFor(left));
  }

  #folders(): ShardFolders {
    return {
      ...this.#options,
      modelsDir: this.#modelsDir,
      events: this.#events,
      signal: this.#signal,
    };
  }
}

function asInPlan({ id, number, range }: PlannedShard): ShardOfPlan {
  return { index: number.index, manifest: id, ...range };
}
