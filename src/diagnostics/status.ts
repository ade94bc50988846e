/** The state of a cluster as the status shows it. */
import { type Announcement, clusterView } from "../cluster/index.ts";

export interface ClusterStatus {
  cluster: string;
  model: string | null;
  manifest: string | null;
  complete: boolean;
  ready: boolean;
  /** Numbers of the shards without a ready holder. */
  missing: number[];
  members: {
    peer: string;
    shard: string;
    layers: string;
    state: string;
    addresses: string[];
    sessions: { active: number; max: number };
    msPerToken: number | null;
    memoryBytes: number | null;
    version: string;
  }[];
}

/** Unknown is null, never a made-up number. */
export function clusterStatus(
  cluster: string,
  announcements: readonly Announcement[],
): ClusterStatus {
  const view = clusterView(announcements);
  return {
    cluster,
    model: view?.model ?? null,
    manifest: view?.manifest ?? null,
    complete: view?.complete ?? false,
    ready: view?.ready ?? false,
    missing: view?.missing ?? [],
    members: announcements.map((a) => ({
      peer: a.peer,
      shard: `${a.shard.index}/${a.shard.count}`,
      layers: `${a.layerStart}-${a.layerEnd - 1}`,
      state: a.state,
      addresses: a.addresses,
      sessions: a.sessions,
      msPerToken: a.msPerToken ?? null,
      memoryBytes: a.memoryBytes ?? null,
      version: a.version,
    })),
  };
}
