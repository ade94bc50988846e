/**
 * What a role knows of itself, put together from its pieces: the one NodeStatus that its page, its command and its report show.
 * And how a role is watched over HTTP:
 *
 *     const watch = watchRole("node", options.diagnostics, events);      // first, so that the story of the start is in it
 *     const host = await createHost({ …, metrics: watch.metrics });
 *     const url = await watch.start(stack, { host, clusters: () => [...], … });
 */
import {
  type ClusterRecord,
  serveNodeCommands,
  type RendezvousService,
} from "../cluster/index.ts";
import {
  type ClusterStatus,
  type GivenUpStatus,
  type NodeStatus,
  type OwnShardStatus,
  type PlanStatus,
  type SessionStatus,
  STATUS_LIMITS,
  type TorrentStatus,
} from "../status/index.ts";
import {
  createDiagnostics,
  type Diagnostics,
  type Vitals,
  startReports,
} from "../diagnostics/index.ts";
import type { SessionLog, StageService } from "../inference/index.ts";
import { type Events, VERSION } from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import { type CatalogService, isWhole } from "../catalog/index.ts";
import { type Content, PIECE_BYTES } from "../store/index.ts";
import type { TransferStats } from "../transfer/index.ts";
import type { RendezvousSeed, MemberFiles } from "../weights/index.ts";

/** Where a role shows itself; `port` undefined is the first free one from 51823. */
export interface DiagnosticsPlace {
  host: string;
  port?: number | undefined;
}

/** What a status is made of. Whatever a role has not is left out. */
export interface StatusPieces {
  host: Pick<Host, "peerId" | "addresses" | "connections" | "dht">;
  /** Answers what the process is and how it is (GET_CAPABILITIES, GET_NODE_STATUS). */
  commands: Commands;
  /** Why /ready says no; undefined where it says yes. */
  notReady: () => string | undefined;
  clusters: () => ClusterStatus[];
  api?: (() => string | undefined) | undefined;
  shards?: () => OwnShardStatus[];
  givenUp?: () => GivenUpStatus[];
  plan?: () => PlanStatus | null;
  torrents?: () => TorrentStatus;
  sessions?: () => NodeStatus["sessions"];
}

export interface RoleWatch {
  /** For the host; undefined where the role is not watched. */
  readonly metrics: Diagnostics["libp2pMetrics"] | undefined;
  onSession(session: SessionStatus): void;
  /** Listens until the stack is disposed of. Returns where, if the role is watched. */
  start(
    stack: AsyncDisposableStack,
    pieces: StatusPieces,
  ): Promise<{ url: string; port: number } | undefined>;
}

export function watchRole(
  role: NodeStatus["role"],
  place: DiagnosticsPlace | undefined,
  events: Events,
): RoleWatch {
  const startedMs = Date.now();
  const diagnostics =
    place && createDiagnostics({ host: place.host, port: place.port, events });
  return {
    metrics: diagnostics?.libp2pMetrics,
    onSession: (session) => diagnostics?.onSession(session),
    async start(stack, pieces) {
      const status = (): NodeStatus => nodeStatus(role, startedMs, pieces);
      const { commands } = pieces;
      serveNodeCommands({ commands, role, version: VERSION, status });
      stack.defer(startReports({ status, events }));
      if (diagnostics === undefined) return undefined;
      stack.defer(() => diagnostics.stop());
      const at = await diagnostics.start(status, () => nodeVitals(pieces));
      events.info("STATUS", "page and status over HTTP", { url: at.url });
      return at;
    },
  };
}

export function nodeStatus(
  role: NodeStatus["role"],
  startedMs: number,
  pieces: Omit<StatusPieces, "commands">,
): NodeStatus {
  const { host, notReady, clusters, api, shards, sessions } = pieces;
  const { plan, torrents } = pieces;
  const reason = notReady() ?? null;
  const { user, system } = process.cpuUsage();
  return {
    v: 1,
    role,
    version: VERSION,
    peer: host.peerId,
    addresses: host.addresses().slice(0, 64),
    startedMs,
    nowMs: Date.now(),
    ready: reason === null,
    reason,
    process: {
      memoryBytes: process.memoryUsage.rss(),
      cpuSeconds: (user + system) / 1e6,
      threads: null,
    },
    api: api?.() ?? null,
    shards: shards?.() ?? [],
    givenUp: pieces.givenUp?.() ?? [],
    connections: host
      .connections()
      .slice(0, STATUS_LIMITS.connections)
      .map((connection) => ({
        peer: connection.peer,
        transport: connection.transport,
        way: connection.way,
        relay: connection.relay ?? null,
        relayed: connection.transport === "relayed",
        address: withoutPeer(connection.address),
        direction: connection.direction,
        sinceMs: connection.sinceMs,
        roundTripMs: connection.rttMs ?? null,
      })),
    clusters: clusters().slice(0, STATUS_LIMITS.clusters).map(shortened),
    plan: plan?.() ?? null,
    torrents: torrents?.() ?? null,
    sessions: sessions?.() ?? null,
    dht: host.dht.status(),
  };
}

function nodeVitals({
  host,
  torrents,
  sessions,
}: Pick<StatusPieces, "host" | "torrents" | "sessions">): Vitals {
  const moved = torrents?.();
  const served = sessions?.();
  return {
    nowMs: Date.now(),
    tokens: served?.tokens ?? null,
    uploadedBytes: moved?.uploadedBytes ?? null,
    downloadedBytes: moved?.downloadedBytes ?? null,
    connections: host.connections().length,
    memoryBytes: process.memoryUsage.rss(),
    sessions: served?.active ?? null,
  };
}

/** Two transports on a few interfaces; more would make the status of a big cluster large and tell nobody anything. */
const ADDRESSES_SHOWN = 4;

function shortened(cluster: ClusterStatus): ClusterStatus {
  const members = cluster.members.map((member) => {
    const shown = member.addresses.slice(0, ADDRESSES_SHOWN).map(withoutPeer);
    return Object.assign({}, member, { addresses: shown });
  });
  return { ...cluster, members };
}

/** The peer's id stands beside it already. */
function withoutPeer(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, "");
}

/** Why a node is not ready: the first of its shards that is not, or why it has none. */
export function notReadyShards(
  shards: readonly OwnShardStatus[],
  whyNone?: string,
): string | undefined {
  if (shards.length === 0) return (whyNone ?? "no shard yet").slice(0, 512);
  const waiting = shards.find(({ state }) => state !== "ready");
  return waiting && `shard ${waiting.index} is ${waiting.state}`;
}

export function sessionsOfNode(
  stages: StageService,
  shards: readonly OwnShardStatus[],
): NodeStatus["sessions"] {
  const { totalSessions, failedSessions, totalTokens } = stages.stats();
  const sum = (of: "active" | "max"): number =>
    shards.reduce((total, { sessions }) => total + sessions[of], 0);
  return {
    active: sum("active"),
    max: sum("max"),
    total: totalSessions,
    failed: failedSessions,
    tokens: totalTokens,
    recent: [],
  };
}

export function sessionsOfGateway(
  log: SessionLog,
  max: number,
): NodeStatus["sessions"] {
  return { ...log.totals(), max, recent: log.recent() };
}

export function torrentsOfMember(
  torrents: MemberFiles,
  published: ClusterRecord | undefined,
): TorrentStatus {
  const contents = torrents.list();
  const targets = new Map(
    published && [[published.manifest, published.replication]],
  );
  return {
    contents: contents.slice(0, STATUS_LIMITS.contents).map((content) => ({
      root: content.metadata.root,
      name: content.name.slice(0, 512),
      kind: content.kind,
      sizeBytes: content.metadata.sizeBytes,
      have: haveOf(content),
      primary: content.primary,
      holders: null, // the index at the rendezvous knows
      target: targetOf(content, targets),
    })),
    contentCount: contents.length,
    ...movement(torrents.lastStats()),
  };
}

/** The index of a rendezvous: who has what. Nothing of it is here, unless it seeds. */
export function torrentsOfRendezvous(
  catalog: CatalogService,
  service: RendezvousService,
  seed: Pick<RendezvousSeed, "list" | "lastStats"> | undefined,
): TorrentStatus {
  const entries = catalog.list();
  const here = new Map(
    seed?.list().map((content) => [content.metadata.root, content]),
  );
  const targets = new Map(
    service
      .published()
      .map(({ record }) => [record.manifest, record.replication]),
  );
  return {
    contents: entries.slice(0, STATUS_LIMITS.contents).map((entry) => {
      const whole = entry.holders.filter((holder) => holder.whole);
      const content = here.get(entry.root);
      return {
        root: entry.root,
        name: entry.name,
        kind: entry.kind,
        sizeBytes: entry.sizeBytes,
        have: content === undefined ? null : haveOf(content),
        primary: false,
        holders: whole.length,
        target: targetOf(entry, targets),
      };
    }),
    contentCount: entries.length,
    ...movement(seed?.lastStats()),
  };
}

/** Copies are kept of parts. */
function targetOf(
  { kind, manifest }: { kind: string; manifest?: string | undefined },
  targets: ReadonlyMap<string, number>,
): number | null {
  if (kind !== "part" || manifest === undefined) return null;
  return targets.get(manifest) ?? null;
}

function movement(
  stats: TransferStats | undefined,
): Omit<TorrentStatus, "contents" | "contentCount"> {
  const { uploads, downloads } = stats ?? {};
  return {
    transfers: (downloads?.downloads ?? [])
      .slice(0, STATUS_LIMITS.transfers)
      .map((download) => ({
        root: download.root,
        name: download.name.slice(0, 512),
        direction: "down",
        doneBytes: download.doneBytes,
        sizeBytes: download.sizeBytes ?? 0,
        bytesPerSecond: download.bytesPerSecond,
        peers: download.sources,
      })),
    uploadedBytes: uploads?.bytes ?? 0,
    downloadedBytes: downloads?.bytes ?? 0,
    uploadBytesPerSecond: uploads?.bytesPerSecond ?? 0,
    downloadBytesPerSecond: downloads?.bytesPerSecond ?? 0,
    uploadPeers: uploads?.peers ?? 0,
  };
}

function haveOf(content: Content): number {
  if (isWhole(content)) return 1;
  const pieces = Math.ceil(content.metadata.sizeBytes / PIECE_BYTES);
  let here = 0;
  for (let i = 0; i < pieces; i++)
    if (((content.have[i >> 3] ?? 0) & (1 << (i & 7))) !== 0) here++;
  return pieces === 0 ? 1 : here / pieces;
}
