/**
 * A shard node: loads its shard, joins the cluster, computes.
 *
 * Start, each step logged only after it is a fact: 1. configuration and identity, 2. the shard's file, 3. engine loaded and dry
 * run, 4. host listening, 5. a rendezvous connected, 6. announced and confirmed. Stop: goodbye, then the reverse.
 */
import { join } from "node:path";
import {
  type ClusterView,
  Membership,
  type OwnState,
  servePartsOf,
} from "../cluster/index.ts";
import { ENGINE_DEFAULTS, StageEngine } from "../engine/index.ts";
import { StageService } from "../inference/index.ts";
import { formatBytes, formatMs, ShoalError } from "../lib/index.ts";
import { Commands, createHost } from "../network/index.ts";
import { joinThroughBootstraps } from "./join.ts";
import { composed, type Role, type RoleContext } from "./role.ts";
import { findShard } from "./shard-source.ts";
import { reportReadiness } from "./swarm-events.ts";
import { VERSION } from "./version.ts";

export interface NodeOptions {
  bootstraps: readonly string[];
  cluster: string;
  shard: { index: number; count: number };
  modelDir: string;
  listen: readonly string[];
  /** Tokens of one session; undefined: the model's own, up to DEFAULT_CONTEXT. */
  contextLength?: number | undefined;
  sessions: number;
  threads: number;
  /** Give up if no bootstrap answers for so long. */
  bootstrapTimeoutMs: number;
}

/** KV memory grows with the context: models of today claim 128 k, which few prompts use. */
const DEFAULT_CONTEXT = 4096;

export function startNode(
  options: NodeOptions,
  { events, paths, signal }: RoleContext,
): Promise<Role> {
  return composed(async (stack) => {
    const { cluster, shard, modelDir, bootstraps } = options;
    const name = `${shard.index}/${shard.count}`;
    const wanted = {
      modelDir,
      index: shard.index,
      count: shard.count,
      dataDir: paths.data,
      events,
      signal,
    };
    const source = await findShard(wanted);
    const { layerStart, layerEnd, sizeBytes, path } = source.shard;
    const host = await createHost({
      keyPath: join(paths.state, "node.key"),
      listen: options.listen,
      events,
      version: VERSION,
    });
    events.info("CONFIG", `shard ${name} of ${source.manifest.name}`, {
      cluster,
      layers: `${layerStart}-${layerEnd - 1}`,
      model: source.id,
      bootstrap: bootstraps,
      peer: host.peerId,
    });

    const engine = await loadEngine(
      options,
      source.shard.path,
      source.manifest.contextLength,
      { events },
    );
    stack.defer(() => engine.stop());
    const info = engine.info;
    if (info === undefined)
      throw new ShoalError(
        "ENGINE_DIED",
        "the engine died right after its dry run",
      );
    events.info(
      "SHARD",
      `shard ${name} is loaded: validated, mapped, dry run done`,
      {
        file: path,
        size: formatBytes(sizeBytes),
        loaded: formatMs(info.loadMs),
        dryRun: formatMs(info.dryRunMs),
        memory: formatBytes(info.rssBytes),
        context: info.contextLength,
        threads: options.threads,
      },
    );

    const commands = new Commands(host);
    servePartsOf(
      commands,
      source.id,
      source.manifestBytes,
      source.metadataPath,
    );
    const stages = new StageService({ host, events });
    stages.hold({ manifest: source.id, layerStart, layerEnd, engine });
    stages.start();
    const membership = new Membership({ host, commands, events, cluster });
    membership.start();
    stack.defer(() => membership.stop());
    await host.start();
    stack.defer(() => host.stop());
    stack.defer(() => stages.stop());

    const own = (state: OwnState["state"]): OwnState => {
      const { activeSessions, maxSessions, msPerToken } = stages.stats();
      return {
        manifest: source.id,
        model: source.manifest.name,
        layerCount: source.manifest.layerCount,
        layerStart,
        layerEnd,
        shard,
        state,
        contextLength: info.contextLength,
        batchTokens: engine.batchTokens,
        sessions: { active: activeSessions, max: maxSessions },
        msPerToken,
        memoryBytes: engine.info?.rssBytes,
        version: VERSION,
      };
    };
    const current = (): OwnState =>
      own(engine.info === undefined ? "loading" : "ready");
    const joined = await joinThroughBootstraps({
      host,
      targets: bootstraps,
      events,
      join: async (peer) => {
        await membership.join(peer);
        refuseOtherModel(membership.view(), source.id);
        await membership.announce(current());
        events.info("CLUSTER", "announced, and confirmed by the rendezvous", {
          cluster,
          members: membership.announcements().length,
        });
      },
      timeoutMs: options.bootstrapTimeoutMs,
      signal,
    });
    stack.defer(() => joined.stop());
    const announce = (state: OwnState["state"]): void => {
      membership.announce(own(state)).catch((error: unknown) => {
        const { code, message } = ShoalError.from(error);
        events.warn(
          "CLUSTER",
          `the change to ${state} was not announced: ${message}`,
          { code },
        );
      });
    };
    stack.defer(engine.onDown(() => announce("loading")));
    stack.defer(engine.onUp(() => announce("ready")));
    stack.defer(reportReadiness(membership, events));
    stack.defer(() => membership.leave());
    return { peerId: host.peerId, addresses: host.addresses() };
  });
}

async function loadEngine(
  options: NodeOptions,
  path: string,
  modelContext: number,
  { events }: Pick<RoleContext, "events">,
): Promise<StageEngine> {
  let shownMs = 0;
  const engine = new StageEngine({
    path,
    contextLength: Math.min(
      options.contextLength ?? DEFAULT_CONTEXT,
      modelContext,
    ),
    sessions: options.sessions,
    batchTokens: ENGINE_DEFAULTS.batchTokens,
    threads: options.threads,
    events,
    onProgress: (fraction) => {
      if (fraction < 1 && performance.now() - shownMs < 500) return;
      shownMs = performance.now();
      events.info("TENSOR_LOAD", `${Math.round(fraction * 100)} %`, {
        file: path,
      });
    },
  });
  await engine.start();
  return engine;
}

function refuseOtherModel(view: ClusterView | undefined, model: string): void {
  if (view === undefined || view.manifest === model) return;
  throw new ShoalError(
    "CLUSTER_MODEL_MISMATCH",
    `the cluster serves another model, ${view.model} (${view.manifest}): this node's is ${model}`,
    {
      cluster: view.manifest,
      node: model,
    },
  );
}
