/**
 * A seeder: publishes a model for a cluster and serves it straight from its file. Nothing is copied or cut.
 *
 * Start: 1. the file is read and hashed (the hashes are kept), 2. host listening, a rendezvous connected, 3. the cluster's record
 * published, signed by the cluster's key, and every content listed. In a local network without a rendezvous members learn the record from it,
 * and ask it for contents. Stop: the reverse.
 */
import { mkdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import {
  CLUSTER_RECORD_DEFAULTS,
  type Sealed,
  sealClusterRecord,
} from "../cluster/index.ts";
import {
  METADATA_FILE,
  servePartsOf,
  SpareCopies,
  MemberFiles,
  type TransferFlags,
} from "../weights/index.ts";
import { checkModel } from "../engine/index.ts";
import { openModel } from "../gguf/index.ts";
import {
  computeModeOf,
  fileNameFor,
  flagsOf,
  type SaidMode,
  ShoalError,
  sleep,
} from "../lib/index.ts";
import {
  checkShardCount,
  decodeManifest,
  describeModel,
  manifestId,
  projectorsBeside,
  servedAsText,
  writeMetadata,
} from "../model/index.ts";
import { createHost } from "../network/index.ts";
import { STORE_DEFAULTS } from "../store/index.ts";
import { joinCluster, lanOf, relaysOf } from "./join.ts";
import { createRoleHost, memberOf, startMember } from "./member.ts";
import { composed, type Role, type RoleContext } from "./role.ts";
import {
  type DiagnosticsPlace,
  torrentsOfMember,
  watchRole,
} from "./own-status.ts";

/** `kv` and `batch` say how the cluster's stages compute; undefined: COMPUTE_MODE_DEFAULTS. */
export interface SeederOptions extends TransferFlags, SaidMode {
  bootstraps: readonly string[];
  cluster: string;
  /** GGUF; of a model in several files, any one. */
  model: string;
  /** Shards of the cluster's plan. */
  shards: number;
  listen: readonly string[];
  bootstrapTimeoutMs: number;
  /** Copies of each part that members with spare disk keep; undefined: CLUSTER_RECORD_DEFAULTS. */
  replication?: number | undefined;
  /** HTTP(S) URLs of the model's files, in order, where nodes can get them besides. */
  origin: readonly string[];
  /** Of the page; undefined: none. */
  diagnostics?: DiagnosticsPlace | undefined;
}

export function startSeeder(
  options: SeederOptions,
  { events, paths, signal }: RoleContext,
): Promise<Role> {
  return composed(async (stack) => {
    const { bootstraps, cluster, shards } = options;
    const mode = computeModeOf(options);
    const model = await openModel(options.model, { signal });
    // Before it is read, which may take an hour.
    checkShardCount(describeModel(model), shards);
    checkOrigin(options.origin, model.files.length);
    await checkModel(model);
    const watch = watchRole("seeder", options.diagnostics, events);
    const host = await createRoleHost({
      name: "seeder",
      listen: options.listen,
      paths,
      events,
      metrics: watch.metrics,
    });
    events.info("CONFIG", `seeder of cluster ${cluster}`, {
      model: basename(options.model),
      shards,
      bootstrap: bootstraps,
      peer: host.peerId,
    });
    const projectors = await projectorsBeside(options.model);
    if (projectors.length > 0)
      events.info("CONFIG", `the model is ${servedAsText(projectors)}`);
    const member = memberOf(host, { events, cluster });
    const { commands, membership } = member;
    const files = new MemberFiles({
      host,
      ...options,
      commands,
      events,
      keyPath: join(paths.state, "seeder-transfer.key"),
      // Only this model, not what else lies beside it.
      directories: model.files.map(({ path }) => path),
      stateDir: paths.state,
    });
    stack.defer(() => files.stop());
    let [isPublished, hasJoined] = [false, false];
    const at = await watch.start(stack, {
      host,
      commands,
      notReady: () =>
        isPublished ? undefined : "it has not published the model yet",
      clusters: () => [membership.status()],
      torrents: () => torrentsOfMember(files, membership.published()),
    });
    await files.start();
    // The store takes a file that has just changed for one that is still being written.
    await sleep(await unsettledMs(model.files), signal);
    await files.index();
    const { id, manifestBytes } = await indexed(files);
    const manifest = decodeManifest(manifestBytes);
    const own = join(paths.state, "seeding", fileNameFor(cluster));
    await mkdir(own, { recursive: true });
    const metadataPath = join(own, METADATA_FILE);
    await writeMetadata(model, metadataPath, { signal });
    servePartsOf(commands, { id, manifestBytes, metadataPath });

    await startMember(stack, member);
    // A host that is never started: the cluster's key as a signer.
    const key = await createHost({
      keyPath: join(paths.state, "clusters", `${fileNameFor(cluster)}.key`),
    });
    const issuedMs = Date.now();
    const sealAs = (seq: number): Promise<Sealed> =>
      sealClusterRecord(
        {
          v: 1,
          cluster,
          key: key.peerId,
          manifest: id,
          model: manifest.name,
          shards,
          replication:
            options.replication ?? CLUSTER_RECORD_DEFAULTS.replication,
          origin: [...options.origin],
          ...mode,
          seq,
          issuedMs,
        },
        (data) => key.sign(data),
      );
    let record = await sealAs(issuedMs);
    const publish = async (): Promise<void> => {
      const known = membership.published();
      const isOther = membership.publishedSealed() !== record;
      // This machine's clock was set back since it published last.
      if (!hasJoined && isOther && known?.key === key.peerId)
        if (known.seq >= issuedMs) record = await sealAs(known.seq + 1);
      await membership.publish(record);
      isPublished = true;
      events.info("CLUSTER", `published: ${cluster} serves ${manifest.name}`, {
        manifest: id,
        shards,
        computes: flagsOf(mode),
        key: key.peerId,
      });
    };
    // In a local network it is itself where others learn of it.
    if (bootstraps.length === 0) await publish();
    await joinCluster(stack, {
      ...options,
      host,
      commands,
      events,
      puncher: member.puncher,
      join: async (peer) => {
        await membership.join(peer);
        await publish();
        hasJoined = true;
        await files.syncWith(peer);
      },
      lan: lanOf(membership),
      relays: () => relaysOf(membership),
      signal,
    });
    const copies = new SpareCopies({
      cluster,
      record: () => membership.published(),
      files,
      manifestOf: async (other) => {
        if (other === id) return manifest;
        throw new ShoalError(
          "CLUSTER_MODEL_MISMATCH",
          "the cluster has switched to another model",
          { cluster: other, node: id },
        );
      },
      events,
    });
    copies.start();
    stack.defer(() => copies.stop());
    return {
      failed: member.failed,
      peerId: host.peerId,
      addresses: host.addresses(),
      ...(at && { diagnosticsUrl: at.url }),
    };
  });
}

function checkOrigin(urls: readonly string[], files: number): void {
  if (urls.length === 0 || urls.length === files) return;
  throw new ShoalError(
    "USAGE",
    `--origin needs one URL per file of the model: it has ${urls.length}, the model ${files}`,
    { files, urls: urls.length },
  );
}

/** How long until the store takes the files as they are. */
async function unsettledMs(
  files: readonly { path: string }[],
): Promise<number> {
  const stats = await Promise.all(files.map(({ path }) => stat(path)));
  const sinceMs = Math.min(...stats.map((s) => Date.now() - s.mtimeMs));
  const leftMs = STORE_DEFAULTS.settleMs - Math.max(0, sinceMs);
  return Math.max(0, Math.ceil(leftMs) + 1);
}

/** The manifest that the store made while it hashed the model. */
async function indexed(
  files: MemberFiles,
): Promise<{ id: string; manifestBytes: Uint8Array }> {
  for (const { manifest, ranges } of files.list()) {
    const [range] = ranges;
    if (manifest === undefined || range === undefined || ranges.length > 1)
      continue;
    if (!range.path.endsWith(".cbor")) continue;
    const manifestBytes = await readFile(range.path);
    if (manifestId(manifestBytes) === manifest)
      return { id: manifest, manifestBytes };
  }
  throw new ShoalError(
    "MODEL_NOT_LANGUAGE",
    "the model could not be indexed: the log above says why",
  );
}
