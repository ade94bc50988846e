/**
 * A shard node: holds shards, joins the cluster, computes, and shares what lies in its folders.
 *
 * Start, each step logged only after it is a fact: 1. configuration and identity; with a shard on disk 2. engine loaded and dry
 * run, 3. host listening, a rendezvous connected, 4. announced and confirmed. Without one: 3. first, then the shard that was
 * named, or that the cluster needs most, is fetched and put together, 2., 4. Stop: draining, goodbye, then the reverse.
 */
import { totalmem } from "node:os";
import { join } from "node:path";
import {
  clusterRecordKinds,
  type ClusterView,
  Membership,
} from "../cluster/index.ts";
import type { SessionRoom } from "../placement/index.ts";
import { StageService } from "../inference/index.ts";
import { type EventSink, ShoalError, VERSION } from "../lib/index.ts";
import { type LayerRange, partsOf } from "../model/index.ts";
import { Commands, createHost } from "../network/index.ts";
import {
  fetchModel,
  type PlannedShard,
  planOf,
  type ServedModel,
  servedModel,
  Propagation,
  findShard,
  type ShardSource,
  keepToOffer,
  SpareFolder,
  indexLater,
  Torrents,
  type TransferFlags,
} from "../weights/index.ts";
import { joinToStay } from "./join.ts";
import { NodeShards } from "./node-shards.ts";
import { Placement } from "./placement.ts";
import { Presence, type ShardOfPlan } from "./dht-announce.ts";
import { composed, type Role, type RoleContext } from "./role.ts";
import {
  type DiagnosticsPlace,
  notReadyShards,
  sessionsOfNode,
  torrentsOfMember,
  watchRole,
} from "./own-status.ts";

export interface NodeOptions extends TransferFlags {
  bootstraps: readonly string[];
  cluster: string;
  /** Its number, with the number of all where the shard is on disk; or any layers. Undefined: what the cluster needs most. */
  shard?:
    { index: number; count?: number | undefined } | LayerRange | undefined;
  /** Folder with the shard or the model. Undefined: it is fetched. */
  modelDir?: string | undefined;
  listen: readonly string[];
  /** Tokens of one session; undefined: the model's own, up to DEFAULT_CONTEXT. */
  contextLength?: number | undefined;
  sessions: number;
  threads: number;
  /** Memory for all its shards, at most; undefined: what is free. */
  memoryBytes?: number | undefined;
  /** Give up if no bootstrap answers for so long. */
  bootstrapTimeoutMs: number;
  /** Serve what lies in the folders to others. */
  seed: boolean;
  /** Of the page; undefined: none. */
  diagnostics?: DiagnosticsPlace | undefined;
  /** Disk for parts that too few others keep; undefined: none. */
  spareBytes?: number | undefined;
}

/** KV memory grows with the context: models of today claim 128 k, which few prompts use. */
const DEFAULT_CONTEXT = 4096;

export function startNode(
  options: NodeOptions,
  { events, paths, signal: starting }: RoleContext,
): Promise<Role> {
  return composed(async (stack) => {
    const { cluster, bootstraps, modelDir, sessions, threads } = options;
    const modelsDir = join(paths.data, "models");
    const stopping = new AbortController();
    const signal = AbortSignal.any([starting, stopping.signal]);
    const watch = watchRole("node", options.diagnostics, events);
    const host = await createHost({
      keyPath: join(paths.state, "node.key"),
      datastorePath: join(paths.state, "node-datastore"),
      recordKinds: clusterRecordKinds(),
      metrics: watch.metrics,
      listen: options.listen,
      events,
      version: VERSION,
    });
    const commands = new Commands(host);
    const stages = new StageService({ host, events });
    const membership = new Membership({
      host,
      commands,
      events,
      cluster,
      capacity: () => ({
        memoryBytes: totalmem(),
        // Who named a shard wants that one and no other.
        freeMemoryBytes: options.shard === undefined ? offered() : 0,
        threads,
      }),
      onLoadShard: async ({ manifest, shard }) => {
        if (placement === undefined) {
          throw new ShoalError(
            "BUSY",
            options.shard === undefined
              ? "this node has not found its first shard yet"
              : "this node's shard is fixed by its operator",
          );
        }
        await placement.accept({ manifest, index: shard.index });
      },
    });
    let placement: Placement | undefined;
    const { spareBytes = 0 } = options;
    const spareFolder = new SpareFolder(join(paths.data, "spare"), spareBytes);
    const spare = spareBytes > 0 ? spareFolder : undefined;
    const torrents = new Torrents({
      host,
      ...options,
      commands,
      events,
      keyPath: join(paths.state, "transfer.key"),
      directories: [
        modelsDir,
        ...(modelDir === undefined ? [] : [modelDir]),
        ...(spare === undefined ? [] : [spare.directory]),
      ],
      spareDir: spare?.directory,
      stateDir: paths.state,
    });
    const contextLength = options.contextLength ?? DEFAULT_CONTEXT;
    const offered = (): number => freeMemory(options, shards);
    const shards: NodeShards = new NodeShards({
      commands,
      membership,
      torrents,
      stages,
      events,
      contextLength,
      sessions,
      threads,
      local: (planned) =>
        localShard(options, planned, modelsDir, events, signal),
      onReady: (planned) => void presence.shardReady(asInPlan(planned)),
      signal,
    });
    const presence = new Presence({ host, membership, events, cluster });
    const at = await watch.start(stack, {
      host,
      commands,
      notReady: () => notReadyShards(shards.statuses()),
      clusters: () => [membership.status()],
      shards: () => shards.statuses(),
      torrents: () => torrentsOfMember(torrents, membership.published()),
      sessions: () => sessionsOfNode(stages, shards.statuses()),
    });

    events.info("CONFIG", `shard node of cluster ${cluster}`, {
      shard: nameOfWanted(options.shard),
      bootstrap: bootstraps,
      peer: host.peerId,
    });
    stack.defer(() => torrents.stop());
    const isLocal = modelDir !== undefined && options.shard !== undefined;
    if (options.seed || !isLocal || spare !== undefined) {
      await torrents.start();
      indexLater(torrents, events);
    }
    const here = await namedShard(options, modelsDir, events, signal);
    stack.defer(() => shards.stop());
    if (here !== undefined) await shards.load(here, here);
    stages.start();
    membership.start();
    stack.defer(() => membership.stop());
    await host.start();
    stack.defer(() => host.stop());
    // Not before: of two nodes with one home the second does not come so far.
    stack.defer(keepToOffer(spareFolder, events));
    stack.defer(() => stages.stop());
    await joinToStay(stack, {
      ...options,
      host,
      membership,
      stateDir: paths.state,
      events,
      join: async (peer) => {
        await membership.join(peer);
        const { manifest } = shards;
        if (manifest !== undefined)
          refuseOtherModel(membership.view(), manifest);
        const how = manifest === undefined ? "joined" : "announced";
        events.info("CLUSTER", `${how}, confirmed by the rendezvous`, {
          cluster,
          members: membership.announcements().length,
        });
        await torrents.syncWith(peer);
        void presence.joined();
        for (const planned of shards.ready())
          void presence.shardReady(asInPlan(planned));
      },
      signal,
    });
    stack.defer(() => presence.stop());
    stack.defer(() => membership.leave());
    stack.defer(() => stopping.abort(new ShoalError("ABORTED", "stopped")));
    if (here === undefined) {
      const how = { commands, membership, torrents, modelsDir, events, signal };
      const model = await servedModel(how);
      if (options.shard !== undefined) {
        const planned = planOf(model, options.shard);
        await shards.claim(planned);
        await shards.fetch(model, planned);
      } else {
        const placed = new Placement({
          peer: host.peerId,
          model,
          membership,
          shards,
          room: roomOf(model, contextLength, sessions),
          freeMemoryBytes: offered,
          events,
          signal,
        });
        await placed.settle();
        placement = placed;
        void placed.watch();
      }
    }
    if (spare !== undefined) {
      const propagation = new Propagation({
        cluster,
        record: () => membership.published(),
        fetcher: torrents,
        manifestOf: async (id, ending) => {
          const directory = join(modelsDir, id);
          const how = { commands, membership, torrents, signal: ending };
          return (await fetchModel({ ...how, id, directory })).manifest;
        },
        holds: (part) =>
          shards
            .ready()
            .some(({ manifest, range }) =>
              partsOf(manifest, range).some(({ id }) => id === part),
            ),
        spare,
        isIndexed: () => torrents.isIndexed(),
        wanted: () => new Set([membership.published()?.manifest ?? ""]),
        events,
      });
      propagation.start();
      stack.defer(() => propagation.stop());
    }
    return {
      peerId: host.peerId,
      addresses: host.addresses(),
      drain: () => shards.drain(),
      ...(at && { diagnosticsUrl: at.url }),
    };
  });
}

/** The shard of that number in the operator's folder; undefined where it has to be fetched. */
async function namedShard(
  options: NodeOptions,
  modelsDir: string,
  events: EventSink,
  signal: AbortSignal,
): Promise<(ShardSource & PlannedShard) | undefined> {
  const { shard, modelDir } = options;
  if (modelDir === undefined || shard === undefined || !("index" in shard))
    return undefined;
  const { index, count } = shard;
  if (count === undefined) {
    throw new ShoalError(
      "USAGE",
      `with --model-dir, --shard needs the number of shards too, such as ${index}/4`,
      { index },
    );
  }
  const wanted = { modelDir, index, count, modelsDir, events, signal };
  return { ...(await findShard(wanted)), number: { index, count } };
}

/** The same for a shard that was not named: only if the folder holds the cluster's model. */
async function localShard(
  { modelDir, shard }: NodeOptions,
  { id, number }: PlannedShard,
  modelsDir: string,
  events: EventSink,
  signal: AbortSignal,
): Promise<ShardSource | undefined> {
  if (modelDir === undefined || shard !== undefined) return undefined;
  try {
    const wanted = { modelDir, ...number, modelsDir, events, signal };
    const found = await findShard(wanted);
    return found.id === id ? found : undefined;
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = ShoalError.from(error);
    const what = `not using --model-dir for this shard: ${message}`;
    events.info("SHARD", what, { code });
    return undefined;
  }
}

/** Memory that one more shard may take. */
function freeMemory({ memoryBytes }: NodeOptions, shards: NodeShards): number {
  const free = process.availableMemory();
  if (memoryBytes === undefined) return free;
  const used = shards
    .statuses()
    .reduce((sum, shard) => sum + (shard.memoryBytes ?? 0), 0);
  return Math.max(0, Math.min(free, memoryBytes - used));
}

function roomOf(
  { manifest }: ServedModel,
  contextLength: number,
  sessions: number,
): SessionRoom {
  return {
    contextLength: Math.min(contextLength, manifest.contextLength),
    sessions,
  };
}

function asInPlan({ id, number, range }: PlannedShard): ShardOfPlan {
  return { index: number.index, manifest: id, ...range };
}

function nameOfWanted(shard: NodeOptions["shard"]): string {
  if (shard === undefined) return "what the cluster needs most";
  if ("layerStart" in shard)
    return `layers ${shard.layerStart}-${shard.layerEnd - 1}`;
  return `${shard.index}/${shard.count ?? "?"}`;
}

function refuseOtherModel(view: ClusterView | undefined, model: string): void {
  if (view === undefined || view.manifest === model) return;
  throw new ShoalError(
    "CLUSTER_MODEL_MISMATCH",
    `the cluster serves another model, ${view.model} (${view.manifest}): this node's is ${model}`,
    { cluster: view.manifest, node: model },
  );
}
