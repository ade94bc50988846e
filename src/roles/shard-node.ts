/**
 * A shard node: loads its shard, joins the cluster, computes, and shares what lies in its folders.
 *
 * Start, each step logged only after it is a fact: 1. configuration and identity; with a shard on disk 2. engine loaded and dry
 * run, 3. host listening, a rendezvous connected, 4. announced and confirmed. Without one: 3. first, then the shard is
 * fetched and put together, 2., 4. Stop: goodbye, then the reverse.
 */
import { freemem, totalmem } from "node:os";
import { join } from "node:path";
import {
  type ClusterView,
  Membership,
  type OwnState,
  servePartsOf,
} from "../cluster/index.ts";
import { ENGINE_DEFAULTS, StageEngine } from "../engine/index.ts";
import { StageService } from "../inference/index.ts";
import {
  type EventSink,
  formatBytes,
  formatMs,
  ShoalError,
} from "../lib/index.ts";
import type { LayerRange } from "../model/index.ts";
import { Commands, createHost } from "../network/index.ts";
import {
  fetchShard,
  planOf,
  type PlannedShard,
  servedModel,
} from "./fetch-shard.ts";
import { joinThroughBootstraps } from "./join.ts";
import { composed, type Role, type RoleContext } from "./role.ts";
import { findShard, type ShardSource } from "./shard-source.ts";
import { reportReadiness } from "./swarm-events.ts";
import { Torrents } from "./torrents.ts";
import { VERSION } from "./version.ts";

export interface NodeOptions {
  bootstraps: readonly string[];
  cluster: string;
  /** Its number, with the number of all where the shard is on disk; or any layers. */
  shard: { index: number; count?: number | undefined } | LayerRange;
  /** Folder with the shard or the model. Undefined: it is fetched. */
  modelDir?: string | undefined;
  listen: readonly string[];
  /** Tokens of one session; undefined: the model's own, up to DEFAULT_CONTEXT. */
  contextLength?: number | undefined;
  sessions: number;
  threads: number;
  /** Give up if no bootstrap answers for so long. */
  bootstrapTimeoutMs: number;
  /** Serve what lies in the folders to others. */
  seed: boolean;
  uploadLimit?: number | undefined;
  downloadLimit?: number | undefined;
}

/** KV memory grows with the context: models of today claim 128 k, which few prompts use. */
const DEFAULT_CONTEXT = 4096;

export function startNode(
  options: NodeOptions,
  { events, paths, signal }: RoleContext,
): Promise<Role> {
  return composed(async (stack) => {
    const { cluster, bootstraps, modelDir } = options;
    const modelsDir = join(paths.data, "models");
    const host = await createHost({
      keyPath: join(paths.state, "node.key"),
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
        freeMemoryBytes: freemem(),
        threads: options.threads,
      }),
    });
    const torrents = new Torrents({
      host,
      commands,
      events,
      cluster,
      directories: [modelsDir, ...(modelDir === undefined ? [] : [modelDir])],
      stateDir: paths.state,
      uploadLimit: options.uploadLimit,
      downloadLimit: options.downloadLimit,
    });
    let planned: PlannedShard | undefined;
    let engine: StageEngine | undefined;
    let state: OwnState["state"] = "joining";
    const announce = async (next: OwnState["state"]): Promise<void> => {
      state = next;
      const plan = planned;
      if (plan !== undefined)
        await membership.hold(() => ownState(plan, state, stages, engine));
    };
    const announceLater = (next: OwnState["state"]): void => {
      announce(next).catch((error: unknown) => {
        const { code, message } = ShoalError.from(error);
        const what = `the change to ${next} was not announced: ${message}`;
        events.warn("CLUSTER", what, { code });
      });
    };
    /** Loads the shard and offers it for sessions. */
    const hold = async (source: ShardSource): Promise<void> => {
      engine = await loadEngine(options, source, events);
      stack.defer(() => engine?.stop());
      servePartsOf(commands, source);
      const { layerStart, layerEnd } = source.shard;
      stages.hold({ manifest: source.id, layerStart, layerEnd, engine });
      stack.defer(engine.onDown(() => announceLater("loading")));
      stack.defer(engine.onUp(() => announceLater("ready")));
    };

    events.info("CONFIG", `shard node of cluster ${cluster}`, {
      shard: nameOf(options.shard),
      bootstrap: bootstraps,
      peer: host.peerId,
    });
    const local = await localShard(options, modelsDir, events, signal);
    if (local !== undefined) {
      planned = local;
      await hold(local);
      state = "ready";
    }
    stages.start();
    membership.start();
    stack.defer(() => membership.stop());
    await host.start();
    stack.defer(() => host.stop());
    stack.defer(() => stages.stop());
    stack.defer(() => torrents.stop());
    if (options.seed || local === undefined) seedLater(torrents, events);
    stack.defer(reportReadiness(membership, events));
    const joined = await joinThroughBootstraps({
      host,
      targets: bootstraps,
      events,
      join: async (peer) => {
        await membership.join(peer);
        if (planned !== undefined)
          refuseOtherModel(membership.view(), planned.id);
        await announce(state);
        events.info(
          "CLUSTER",
          planned === undefined
            ? "joined: the rendezvous told who is there"
            : "announced, and confirmed by the rendezvous",
          { cluster, members: membership.announcements().length },
        );
        await torrents.syncWith(peer);
      },
      timeoutMs: options.bootstrapTimeoutMs,
      signal,
    });
    stack.defer(() => joined.stop());
    stack.defer(() => membership.leave());
    if (local === undefined) {
      const model = await servedModel({
        commands,
        membership,
        torrents,
        modelsDir,
        events,
        signal,
      });
      planned = planOf(model, options.shard);
      announceLater("downloading");
      const { range } = planned;
      const how = { torrents, events, signal };
      const fetched = await fetchShard(model, range, how);
      announceLater("loading");
      await hold(fetched);
      await announce("ready");
      events.info("CLUSTER", "announced as ready, confirmed", { cluster });
    }
    return { peerId: host.peerId, addresses: host.addresses() };
  });
}

/** The shard in the node's folder; undefined where it has to be fetched. */
async function localShard(
  options: NodeOptions,
  modelsDir: string,
  events: EventSink,
  signal: AbortSignal,
): Promise<(ShardSource & PlannedShard) | undefined> {
  const { shard, modelDir } = options;
  if (modelDir === undefined || !("index" in shard)) return undefined;
  const { index, count } = shard;
  if (count === undefined) {
    throw new ShoalError(
      "USAGE",
      `of how many is shard ${index}? With --model-dir it takes "i/n"`,
      { index },
    );
  }
  const wanted = { modelDir, index, count, modelsDir, events, signal };
  return { ...(await findShard(wanted)), number: { index, count } };
}

function ownState(
  { id, manifest, range, number }: PlannedShard,
  state: OwnState["state"],
  stages: StageService,
  engine: StageEngine | undefined,
): OwnState {
  const { sessions, msPerToken } =
    engine === undefined
      ? { sessions: { active: 0, max: 0 }, msPerToken: undefined }
      : stages.statsOf(engine);
  return {
    ...range,
    manifest: id,
    model: manifest.name,
    layerCount: manifest.layerCount,
    shard: number,
    state,
    contextLength: engine?.info?.contextLength ?? 0,
    batchTokens: engine?.batchTokens ?? 0,
    sessions,
    msPerToken,
    memoryBytes: engine?.info?.rssBytes,
    version: VERSION,
  };
}

async function loadEngine(
  options: NodeOptions,
  { shard, manifest }: ShardSource,
  events: EventSink,
): Promise<StageEngine> {
  const { contextLength = DEFAULT_CONTEXT, sessions, threads } = options;
  let shownMs = 0;
  const engine = new StageEngine({
    path: shard.path,
    contextLength: Math.min(contextLength, manifest.contextLength),
    sessions,
    batchTokens: ENGINE_DEFAULTS.batchTokens,
    threads,
    events,
    onProgress: (fraction) => {
      if (fraction < 1 && performance.now() - shownMs < 500) return;
      shownMs = performance.now();
      const percent = `${Math.round(fraction * 100)} %`;
      events.info("TENSOR_LOAD", percent, { file: shard.path });
    },
  });
  const info = await engine.start();
  const { layerStart, layerEnd } = shard;
  events.info("SHARD", "loaded: validated, mapped, dry run done", {
    layers: `${layerStart}-${layerEnd - 1}`,
    model: manifest.name,
    file: shard.path,
    size: formatBytes(shard.sizeBytes),
    loaded: formatMs(info.loadMs),
    dryRun: formatMs(info.dryRunMs),
    memory: formatBytes(info.rssBytes),
    context: info.contextLength,
    threads,
  });
  return engine;
}

/** Hashing what lies in the folders may take long: nothing waits for it. */
function seedLater(torrents: Torrents, events: EventSink): void {
  torrents.start().catch((error: unknown) => {
    const { code, message } = ShoalError.from(error);
    events.error("TORRENT", `the folders can not be seeded: ${message}`, {
      code,
    });
  });
}

function nameOf(shard: NodeOptions["shard"]): string {
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
