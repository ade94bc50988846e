/** The commands about a cluster, which members and rendezvous answer in the same way. Each handles news itself. */
import { type Clock, compare, ShoalError } from "../lib/index.ts";
import { type Commands, PeerQuota } from "../network/index.ts";
import type { Announcement, Sealed } from "./announcement.ts";
import { pageOf, refuseProtocol } from "./cluster-pages.ts";
import type { KnownCluster, Taken } from "./known-cluster.ts";
import {
  ANNOUNCE,
  GET_CLUSTER,
  type ListedCluster,
  CLUSTERS_PER_MESSAGE,
  LIST_CLUSTERS,
  PUBLISH_CLUSTER,
  SHARD_LOADED,
  SWARM_READY,
  SWARM_STATUS,
} from "./protocol.ts";
import type { HolderRecord } from "./records.ts";
import {
  fitsReply,
  type ClusterStatus,
  STATUS_LIMITS,
} from "../status/index.ts";
import { clusterView } from "./view.ts";

/** One cluster, as the commands see it. */
export interface ServedCluster {
  known: KnownCluster;
  /** What this process itself announces, sealed. */
  own: () => HolderRecord[];
  ownAnnouncements: () => Announcement[];
  /** An announcement was kept, or is not news. */
  onTaken: (taken: Taken, from: string) => void;
  onPublished: (sealed: Sealed, from: string) => void;
  /** `peer` subscribes to changes. */
  subscribe: (peer: string) => void;
  gossip: (from: string, message: Uint8Array) => Promise<void>;
  /** Ask `peer` for the records it has. */
  pull: (peer: string) => void;
}

export interface ClusterServer {
  clock: Clock;
  /** What the time is, in whole milliseconds. */
  wallMs: () => number;
  /** The cluster; created if necessary and possible. Throws CLUSTER_UNKNOWN or CLUSTER_FULL. */
  open: (cluster: string) => ServedCluster;
  /** The cluster if it is known here. */
  find: (cluster: string) => ServedCluster | undefined;
  /** All that are known here. */
  all: () => Iterable<ServedCluster>;
}

/** A status is computed for each request and is large: a few at once, then this many a second. */
const STATUS_RATE = { burst: 20, perSecond: 4 } as const;
/** A gateway asks every few seconds, page by page. */
const LIST_RATE = { burst: 40, perSecond: 4 } as const;
/** Of hints: readiness does not change more often. */
const HINT_RATE = { burst: 20, perSecond: 1 } as const;

export function serveClusterCommands(
  commands: Commands,
  server: ClusterServer,
): void {
  const { open, find, clock } = server;
  const statusRate = new PeerQuota(
    STATUS_RATE.burst,
    STATUS_RATE.perSecond,
    clock,
  );
  const listRate = new PeerQuota(LIST_RATE.burst, LIST_RATE.perSecond, clock);
  const hintRate = new PeerQuota(HINT_RATE.burst, HINT_RATE.perSecond, clock);
  const take = async (
    cluster: string,
    sealed: Sealed,
    from: string,
  ): Promise<ServedCluster> => {
    const served = open(cluster);
    const taken = await served.known.take(sealed, { from });
    served.onTaken(taken, from);
    return served;
  };
  commands.handle(
    ANNOUNCE.name,
    ANNOUNCE.params,
    async ({ cluster, sealed }, { peer }) => {
      const { known, own } = await take(cluster, sealed, peer);
      const members = known.records.size + own().length;
      return { members, nowMs: known.wallMs() };
    },
  );
  commands.handle(
    SHARD_LOADED.name,
    SHARD_LOADED.params,
    async ({ cluster, sealed }, { peer }) => {
      const served = await take(cluster, sealed, peer);
      const ready = viewOf(served, clock.now())?.ready ?? false;
      return { ready, nowMs: served.known.wallMs() };
    },
  );
  commands.handle(
    GET_CLUSTER.name,
    GET_CLUSTER.params,
    ({ cluster, subscribe, offset, protocol }, { peer }) => {
      refuseProtocol(protocol);
      const served = subscribe ? open(cluster) : find(cluster);
      if (served !== undefined && subscribe) served.subscribe(peer);
      const records = [
        ...(served?.own() ?? []),
        ...(served?.known.records.list(clock.now()) ?? []),
      ];
      const record = served?.known.publishedSealed ?? null;
      return pageOf(records, offset, record, {
        nowMs: clock.now(),
        wallMs: server.wallMs(),
      });
    },
  );
  commands.handle(
    LIST_CLUSTERS.name,
    LIST_CLUSTERS.params,
    ({ after }, { peer }) => {
      limit(listRate, peer);
      return listClusters(server, after);
    },
  );
  commands.handle(
    PUBLISH_CLUSTER.name,
    PUBLISH_CLUSTER.params,
    async ({ cluster, record }, { peer }) => {
      const served = open(cluster);
      if (await served.known.takePublished(record))
        served.onPublished(record, peer);
      return { record: served.known.publishedSealed ?? record };
    },
  );
  commands.handle(
    SWARM_READY.name,
    SWARM_READY.params,
    ({ cluster, manifest }, { peer }) => {
      limit(hintRate, peer);
      const served = find(cluster) ?? unknownCluster(cluster);
      const view = viewOf(served, clock.now());
      if (view?.ready !== true || view.manifest !== manifest) served.pull(peer);
      return {
        ready: view?.ready ?? false,
        missing: view?.missing.slice(0, STATUS_LIMITS.shards) ?? [],
        members: served.known.records.size + served.own().length,
      };
    },
  );
  commands.handle(
    SWARM_STATUS.name,
    SWARM_STATUS.params,
    ({ cluster }, { peer }): ClusterStatus => {
      limit(statusRate, peer);
      const { known, ownAnnouncements } =
        find(cluster) ?? unknownCluster(cluster);
      const status = known.status(ownAnnouncements());
      return fitsReply(status, [status.members]);
    },
  );
}

/** The clusters that have a member or a record, by name from the one after `after`. */
function listClusters(
  { all, clock }: ClusterServer,
  after: string,
): { clusters: ListedCluster[]; more: boolean } {
  const names: string[] = [];
  const served = new Map<string, ServedCluster>();
  for (const cluster of all()) {
    const { name, records, published } = cluster.known;
    const isThere = cluster.own().length + records.size > 0;
    if (name <= after || (!isThere && published === undefined)) continue;
    names.push(name);
    served.set(name, cluster);
  }
  const page = names.sort(compare).slice(0, CLUSTERS_PER_MESSAGE);
  const clusters = page.flatMap((name) => {
    const cluster = served.get(name);
    if (cluster === undefined) return [];
    const view = viewOf(cluster, clock.now());
    const { published } = cluster.known;
    return {
      name,
      model: (view ?? published)?.model ?? null,
      manifest: (view ?? published)?.manifest ?? null,
      ready: view?.ready ?? false,
    };
  });
  return { clusters, more: names.length > page.length };
}

/** Throws RATE_LIMITED. */
export function limit(rate: PeerQuota, peer: string): void {
  if (!rate.take(peer))
    throw new ShoalError("RATE_LIMITED", "too many requests, slow down", {
      peer,
    });
}

export function unknownCluster(cluster: string): never {
  throw new ShoalError("CLUSTER_UNKNOWN", `not a member of ${cluster}`, {
    cluster,
  });
}

function viewOf(
  { known, ownAnnouncements }: ServedCluster,
  nowMs: number,
): ReturnType<typeof clusterView> {
  const others = known.records.list(nowMs).map((r) => r.announcement);
  return clusterView([...ownAnnouncements(), ...others], known.published);
}
