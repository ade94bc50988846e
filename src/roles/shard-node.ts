/**
 * A shard node: holds shards, joins the cluster, computes, and shares what lies in its folders.
 *
 * Start, each step logged only after it is a fact: 1. configuration and identity; with a shard on disk 2. engine loaded and dry
 * run, 3. host listening, a rendezvous connected, 4. announced and confirmed. Without one: 3. first, then the shard that was
 * named, or that the cluster needs most, is fetched and put together, 2., 4. Stop: draining, goodbye, then the reverse.
 */
import { totalmem } from "node:os";
import { join } from "node:path";
import type { ClusterView, LoadShardRequest } from "../cluster/index.ts";
import {
  chooseGpu,
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
import { partsOf, refuseOlderEngine } from "../model/index.ts";
import type { Host } from "../network/index.ts";
import {
  fetchModel,
  indexLater,
  keepToOffer,
  MemberFiles,
  type PlannedShard,
  planOf,
  servedModel,
  SpareCopies,
  SpareFolder,
} from "../weights/index.ts";
import { DhtAnnouncer, type ShardOfPlan } from "./dht-announce.ts";
import { joinToStay } from "./join.ts";
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
import type { NodeOptions } from "./node-options.ts";
import { NodeShards } from "./node-shards.ts";
import {
  notReadyShards,
  type RoleWatch,
  sessionsOfNode,
  torrentsOfMember,
  watchRole,
} from "./own-status.ts";
import { memoryForShards } from "../placement/index.ts";
import { Placement, roomOf } from "./placement.ts";
import {
  composed,
  type Role,
  type RoleContext,
  type RoleInfo,
} from "./role.ts";

/** KV memory grows with the context: models of today claim 128 k, which few prompts use. */
const DEFAULT_CONTEXT = 4096;

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
    const host = await createRoleHost({
      name: "node",
      listen,
      paths,
      events,
      metrics,
    });
    return await new ShardNode(options, context, host, gpu).start(stack, watch);
  });
}

class ShardNode {
  readonly #options: NodeOptions;
  readonly #gpu: GpuChoice;
  readonly #events: Events;
  readonly #paths: Paths;
  readonly #modelsDir: string;
  readonly #contextLength: number;
  readonly #member: Member;
  readonly #stages: StageService;
  readonly #spare: SpareFolder;
  readonly #files: MemberFiles;
  readonly #shards: NodeShards;
  readonly #announcer: DhtAnnouncer;
  readonly #stopping = new AbortController();
  readonly #signal: AbortSignal;
  /** Undefined until the first shard is there, and where the operator named one. */
  #placement: Placement | undefined;

  constructor(
    options: NodeOptions,
    { events, paths, signal }: RoleContext,
    host: Host,
    gpu: GpuChoice,
  ) {
    const { cluster, modelDir, sessions, threads, spareBytes = 0 } = options;
    this.#options = options;
    this.#gpu = gpu;
    this.#events = events;
    this.#paths = paths;
    this.#signal = AbortSignal.any([signal, this.#stopping.signal]);
    this.#modelsDir = join(paths.data, "models");
    this.#contextLength = options.contextLength ?? DEFAULT_CONTEXT;
    this.#member = memberOf(host, {
      events,
      cluster,
      capacity: () => ({
        memoryBytes: totalmem(),
        // A node with a named shard takes no other.
        freeMemoryBytes: options.shard === undefined ? this.#freeMemory() : 0,
        threads,
      }),
      onLoadShard: (request) => this.#accept(request),
    });
    const { commands, membership } = this.#member;
    this.#stages = new StageService({ host, events });
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
    this.#shards = new NodeShards({
      commands,
      membership,
      files: this.#files,
      stages: this.#stages,
      events,
      contextLength: this.#contextLength,
      sessions,
      threads,
      computesOn: engineOn(gpu, options.gpuLayers),
      local: (planned) => unnamedShard(this.#folders(), planned),
      onReady: (planned) => void this.#announcer.shardReady(asInPlan(planned)),
      signal: this.#signal,
    });
    this.#announcer = new DhtAnnouncer({ host, membership, events, cluster });
  }

  async start(
    stack: AsyncDisposableStack,
    watch: RoleWatch,
  ): Promise<RoleInfo & { drain: () => Promise<void> }> {
    const { host } = this.#member;
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
    stack.defer(() => this.#shards.stop());
    if (named !== undefined) await this.#shards.load(named, named);
    await this.#listen(stack);
    await this.#join(stack);
    if (named === undefined) await this.#takeShard();
    this.#keepSpareCopies(stack);
    return {
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
      notReady: () => notReadyShards(shards.statuses()),
      clusters: () => [membership.status(shards.planOf)],
      shards: () => shards.statuses(),
      torrents: () => torrentsOfMember(this.#files, membership.published()),
      sessions: () => sessionsOfNode(this.#stages, shards.statuses()),
    });
  }

  /** A node that has its shard and keeps nothing for others may share nothing. */
  async #share(stack: AsyncDisposableStack): Promise<void> {
    const { seed, modelDir, shard, spareBytes = 0 } = this.#options;
    stack.defer(() => this.#files.stop());
    const isLocal = modelDir !== undefined && shard !== undefined;
    if (!seed && isLocal && spareBytes === 0) return;
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
    const { host, membership } = this.#member;
    const endReport = await joinToStay(stack, {
      ...this.#options,
      host,
      membership,
      stateDir: this.#paths.state,
      events: this.#events,
      join: (rendezvous) => this.#joinAt(rendezvous),
      signal: this.#signal,
    });
    stack.defer(() => this.#announcer.stop());
    stack.defer(() => membership.leave());
    stack.defer(() =>
      this.#stopping.abort(new ShoalError("ABORTED", "stopped")),
    );
    stack.defer(endReport);
  }

  async #joinAt(rendezvous: string): Promise<void> {
    const { membership } = this.#member;
    await membership.join(rendezvous);
    const { manifest } = this.#shards;
    if (manifest !== undefined) refuseOtherModel(membership.view(), manifest);
    const how = manifest === undefined ? "joined" : "announced";
    this.#events.info("CLUSTER", `${how}, confirmed by the rendezvous`, {
      cluster: this.#options.cluster,
      members: membership.announcements().length,
    });
    await this.#files.syncWith(rendezvous);
    void this.#announcer.joined();
    for (const planned of this.#shards.ready())
      void this.#announcer.shardReady(asInPlan(planned));
  }

  /** The named shard, or the one that the cluster needs most. */
  async #takeShard(): Promise<void> {
    const { host, commands, membership } = this.#member;
    const { shard, sessions } = this.#options;
    const [events, signal] = [this.#events, this.#signal];
    const model = await servedModel({
      commands,
      membership,
      files: this.#files,
      modelsDir: this.#modelsDir,
      events,
      signal,
    });
    // Before gigabytes are fetched.
    const { version } = findLibraries(this.#gpu.backend);
    refuseOlderEngine(model.manifest.architecture, version);
    if (shard !== undefined) {
      const planned = planOf(model, shard);
      await this.#shards.claim(planned);
      await this.#shards.fetch(model, planned);
      return;
    }
    const placement = new Placement({
      peer: host.peerId,
      model,
      membership,
      shards: this.#shards,
      room: roomOf(model, this.#contextLength, sessions),
      freeMemoryBytes: () => this.#freeMemory(),
      events,
      signal,
    });
    await placement.settle();
    this.#placement = placement;
    void placement.watch();
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

  async #accept({ manifest, shard }: LoadShardRequest): Promise<void> {
    if (this.#placement === undefined) {
      throw new ShoalError(
        "BUSY",
        this.#options.shard === undefined
          ? "this node has not found its first shard yet"
          : "this node's shard is fixed by its operator",
      );
    }
    await this.#placement.accept({ manifest, index: shard.index });
  }

  /** Memory that one more shard may take: of the GPU, if it goes there. */
  #freeMemory(): number {
    const { memoryBytes, gpuLayers } = this.#options;
    const free = memoryForShards({
      availableBytes: availableMemory(),
      gpus: this.#gpu.devices,
      onGpusBytes: this.#shards.onGpusBytes(),
      isPartly: gpuLayers !== undefined,
    });
    if (memoryBytes === undefined) return free;
    const used = this.#shards
      .statuses()
      .reduce((sum, shard) => sum + (shard.memoryBytes ?? 0), 0);
    return Math.max(0, Math.min(free, memoryBytes - used));
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

function refuseOtherModel(view: ClusterView | undefined, model: string): void {
  if (view === undefined || view.manifest === model) return;
  throw new ShoalError(
    "CLUSTER_MODEL_MISMATCH",
    `the cluster serves another model, ${view.model} (${view.manifest}): this node's is ${model}`,
    { cluster: view.manifest, node: model },
  );
}
