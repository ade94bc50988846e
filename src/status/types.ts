/**
 * What a role knows about itself and its clusters, as plain data: one shape for the command GET_NODE_STATUS, for `/api/v1/status`, the
 * page, `shoal status`, the library and the report in the log. Unknown is null, never a made-up number. No prompt, no secret, no full path.
 */

export const NODE_STATES = [
  "joining",
  "downloading",
  "loading",
  "ready",
  "draining",
  "gone",
] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** Progress of a transfer. */
export interface ProgressStatus {
  doneBytes: number;
  sizeBytes: number;
}

export interface SessionCounts {
  active: number;
  max: number;
}

/** A shard of this node. */
export interface OwnShardStatus {
  index: number;
  count: number;
  layerStart: number;
  layerEnd: number;
  manifest: string;
  model: string;
  state: NodeState;
  sizeBytes: number | null;
  /** Of its engine: resident, and of the GPUs that compute. */
  memoryBytes: number | null;
  /** What computes: "llama.cpp v0.5.0 on CPU"; null until it is loaded. */
  engine: string | null;
  contextLength: number | null;
  /** While it is fetched. */
  progress: ProgressStatus | null;
  sessions: SessionCounts;
  msPerToken: number | null;
  /** Taken over because nobody else held it; given back when others do. */
  takenOver: boolean;
}

/** A cut of a model, and what a token takes with it. */
export interface CutStatus {
  /** Expected; null if something was not measured. */
  msPerToken: number | null;
  stages: {
    layerStart: number;
    layerEnd: number;
    computeMs: number | null;
  }[];
}

/** What a node would do for the better cut. */
export interface PlanMachineStatus {
  peer: string;
  stage: number;
  layerStart: number;
  layerEnd: number;
  /** Its layers with the better cut. */
  thenStart: number;
  thenEnd: number;
  /** Layers of these that are not on its disk. */
  fetches: number;
  /** Of its layers now, measured. */
  msPerToken: number | null;
  /** "ask": when its operator agrees; "off": its layers stay. */
  move: "auto" | "ask" | "off";
}

/** Where a cluster's model is cut, and where it should be. */
export interface PlanStatus {
  cluster: string;
  manifest: string;
  model: string;
  /** Of the cut in force; 0 is the one that follows from the cluster's record. */
  version: number;
  /** At once, on average: what it is reckoned with. */
  sessions: number;
  now: CutStatus;
  /** The best that is possible; null if nothing can be said. */
  better: CutStatus | null;
  /** Why nothing can be said. */
  reason: string | null;
  /** The part of a token's time that it saves. */
  gain: number | null;
  /** How much is enough to move for. */
  enough: number;
  /** For how long it has been enough, and sure, while all stages computed; null if it is not. */
  enoughForMs: number | null;
  /** And for how long it must be. */
  moveAfterMs: number;
  /** Until the next change is possible: there was one, or one that failed, not long ago. */
  restsMs: number;
  /** A cut that nodes are loading. */
  moving: number | null;
  machines: PlanMachineStatus[];
}

export interface ConnectionStatus {
  peer: string;
  transport: string;
  /** LAN, direct, port mapped, punched UDP, punched TCP or relayed. Null of a process that does not tell. */
  way: string | null;
  /** The peer that relays. */
  relay: string | null;
  relayed: boolean;
  /** Without the peer's id. */
  address: string;
  direction: "inbound" | "outbound";
  sinceMs: number;
  roundTripMs: number | null;
}

/** A shard that this node gave up, because its engine failed with it again and again. */
export interface GivenUpStatus {
  index: number;
  count: number;
  layerStart: number;
  layerEnd: number;
  model: string;
  /** The last failure. */
  reason: string;
  sinceMs: number;
  /** Until then it does not take the shard again. */
  untilMs: number;
}

/** A holder of a shard, by its announcement. */
export interface MemberStatus {
  peer: string;
  shard: number;
  layerStart: number;
  layerEnd: number;
  manifest: string;
  state: NodeState;
  addresses: string[];
  sessions: SessionCounts;
  msPerToken: number | null;
  memoryBytes: number | null;
  /** What computes: "llama.cpp v0.5.0 on CPU AVX2". */
  engine: string | null;
  progress: ProgressStatus | null;
  version: string;
  /** When its last announcement was signed, by its clock. */
  issuedMs: number;
  /** When that was said or renewed last, by this process's clock. */
  heardMs: number;
  /** Since when this node knows of it. */
  sinceMs: number;
  /** Its machine's clock, minus that of the process whose status this is. */
  clockAheadMs: number | null;
  /** Where another process runs with its identity, or did within the last minute; null if none is known. */
  rivalAddresses: string[] | null;
  /** Peers it is connected to: the last eight characters of their ids, 16 at most. */
  links: string[];
  /** To each of these, as it measured; null is unknown. */
  roundTripsMs: (number | null)[];
}

export interface ShardStatus {
  index: number;
  layerStart: number;
  layerEnd: number;
  /** The words of the report, best first. */
  state: "local" | "loaded" | "online" | "downloading" | "offline";
  /** Holders that are ready. */
  loaded: number;
  /** All holders. */
  holders: number;
}

export interface ClusterStatus {
  cluster: string;
  model: string | null;
  manifest: string | null;
  layerCount: number | null;
  shardCount: number | null;
  complete: boolean;
  ready: boolean;
  /** The one reason why it is not ready. */
  reason: string | null;
  /** Numbers of the shards without a ready holder. */
  missing: number[];
  /** Every shard of the plan, also those nobody holds. */
  shards: ShardStatus[];
  members: MemberStatus[];
  /** Announcements refused since the start, by reason. */
  refused: Record<string, number>;
  /** In one line, where not all holders compute with the same engine: results may differ in the last bits. Null where they do. */
  mixed: string | null;
  /** In one line, where the clocks of its machines are more than 30 s apart. Null where they are not. */
  clocks: string | null;
}

export interface ContentStatus {
  root: string;
  name: string;
  kind: string;
  sizeBytes: number;
  /** Fraction of it that is here, 0 to 1; null if none is expected here (a catalog). */
  have: number | null;
  /** Of this node's own shards. */
  primary: boolean;
  /** Holders of all of it, as far as known here. */
  holders: number | null;
  /** Copies to keep. */
  target: number | null;
}

export interface TransferStatus {
  root: string;
  name: string;
  direction: "up" | "down";
  doneBytes: number;
  sizeBytes: number;
  bytesPerSecond: number;
  /** Sources of a download, peers of an upload. */
  peers: number;
}

export interface TorrentStatus {
  contents: ContentStatus[];
  transfers: TransferStatus[];
  /** The total; the list may be cut. */
  contentCount: number;
  uploadedBytes: number;
  downloadedBytes: number;
  /** Of the last seconds, all transfers together. */
  uploadBytesPerSecond: number;
  downloadBytesPerSecond: number;
  /** Peers that have a stream open to be served. */
  uploadPeers: number;
}

/** A stage of a session's route. */
export interface StageStatus {
  peer: string;
  layerStart: number;
  layerEnd: number;
  /** Medians over this session's last tokens. */
  computeMs: number | null;
  queueMs: number | null;
  /** To the next stage: half the time of the token's frame and its echo. */
  wireMs: number | null;
  /** Whether the engines exchange frames themselves, or through their nodes. */
  direct: boolean | null;
  /** As it was predicted when the route was chosen. */
  predicted: { computeMs: number; queueMs: number; wireMs: number } | null;
}

/** One request, without a word of its text. */
export interface SessionStatus {
  id: string;
  startedMs: number;
  endedMs: number | null;
  /** "waiting": the swarm is not ready, or a stage was lost and there is no way around it yet. */
  state:
    | "queued"
    | "prefill"
    | "decode"
    | "waiting"
    | "done"
    | "cancelled"
    | "failed";
  /** While it waits: "shard 2 of 4 (layers 8-11)". */
  waitingFor: string | null;
  error: string | null;
  promptTokens: number | null;
  tokens: number;
  /** Of the prompt, computed by no stage, because all had them from an earlier session. */
  cachedTokens: number;
  /** Routes after the first: a stage refused, or was lost and it went on. */
  recoveries: number;
  /** Of them one led to another kind of engine, so that the text may differ from there on. */
  recomputed: boolean;
  tokensPerSecond: number | null;
  /** Until it had its turn and a route. */
  queuedMs: number | null;
  timeToFirstTokenMs: number | null;
  /** Median from one token to the next. */
  msPerToken: number | null;
  /** The same, as it was predicted when the route was chosen; null before. */
  predictedMsPerToken: number | null;
  /** The rest, which no stage computed or queued: the wire and the software. */
  restMs: number | null;
  route: StageStatus[];
}

export interface LookupStatus {
  timeMs: number;
  what: string;
  /** In words: who was asked, and the answers. */
  outcome: string;
  asked: number;
  found: number;
  tookMs: number;
}

export interface DhtStatus {
  /** Peers in the routing table. */
  peers: number;
  /** Records kept for others. */
  records: number | null;
  /** Contents provided by this node. */
  provided: number;
  /** The put and get through a second identity, at the start of a rendezvous. */
  selfTest: "passed" | "failed" | null;
  lookups: LookupStatus[];
}

export interface NodeStatus {
  v: 1;
  role: "rendezvous" | "node" | "gateway" | "seeder";
  version: string;
  peer: string;
  addresses: string[];
  startedMs: number;
  nowMs: number;
  /** What /ready says. */
  ready: boolean;
  /** The one reason why it is not ready. */
  reason: string | null;
  process: {
    memoryBytes: number;
    cpuSeconds: number;
    threads: number | null;
  };
  /** Where prompts can be asked, if known. */
  api: string | null;
  shards: OwnShardStatus[];
  givenUp: GivenUpStatus[];
  connections: ConnectionStatus[];
  clusters: ClusterStatus[];
  /** Of a node's cluster; null where it does not look. */
  plan: PlanStatus | null;
  /** Null if the role has none. */
  torrents: TorrentStatus | null;
  sessions: {
    active: number;
    max: number;
    /** Since the start. */
    total: number;
    failed: number;
    tokens: number;
    recent: SessionStatus[];
  } | null;
  dht: DhtStatus;
}
