/** What the checks share: the options, earlier results, and the hosts. */
import type { ClusterStatus } from "../status/index.ts";
import type { Clock, EventSink, Paths } from "../lib/index.ts";
import type { GpuChoice } from "../engine/index.ts";
import type { LayerRange, Manifest } from "../model/index.ts";
import type { Commands, Host, PeerTarget } from "../network/index.ts";
import type { Finding } from "./finding.ts";

export interface DoctorOptions {
  /** As the operator typed them. */
  bootstraps: readonly string[];
  /** An invitation, as it was typed: its peers are bootstraps, and its cluster is asked about. */
  join?: string | undefined;
  /** If undefined, nothing is asked about a cluster. */
  cluster?: string | undefined;
  // of the node that will run here
  /** Multiaddrs. */
  listen: readonly string[];
  shard?: { index: number; count?: number } | LayerRange | undefined;
  modelDir?: string | undefined;
  contextLength?: number | undefined;
  sessions: number;
  /** As for a node; undefined: "auto". */
  gpu?: string | undefined;
  gpuLayers?: number | undefined;
  /** Memory for shards at most; undefined means what is free. */
  memoryBytes?: number | undefined;
  /** For each question. */
  timeoutMs: number;
  clock: Clock;
}

export interface Target {
  text: string;
  target: PeerTarget;
  /** host:port, for people. */
  place: string;
  /** False if its name does not resolve. */
  isResolved: boolean;
}

/** A bootstrap that was reached. */
export interface Reached {
  target: Target;
  peer: string;
  /** Whether it is one of ours and speaks our protocol. */
  speaks: boolean;
}

export interface Examination {
  options: DoctorOptions;
  paths: Paths;
  events: EventSink;
  signal: AbortSignal;
  /**
   * Two guest hosts, because a connected peer is not dialled again: `tcp` has no QUIC. The other one asks everything else, over any
   * transport.
   */
  hosts: { udp: Host; tcp: Host };
  commands: Commands;
  // learned
  targets: Target[];
  reached: Reached[];
  /** The peer id that a node of this home has; undefined: none was started yet. */
  ownPeer?: string | undefined;
  status?: ClusterStatus | undefined;
  manifest?: Manifest | undefined;
  /** What would compute. */
  gpu?: GpuChoice | undefined;
  /** The shard is in the folder and fits. */
  hasShard?: boolean | undefined;
}

export type Check = (examination: Examination) => Promise<Finding[]>;
