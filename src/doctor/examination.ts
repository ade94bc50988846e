/** What the checks share: the options, what earlier ones learned, and how they ask. */
import type { ClusterStatus } from "../status/index.ts";
import type { Clock, EventSink, Paths } from "../lib/index.ts";
import type { LayerRange, Manifest } from "../model/index.ts";
import type { Commands, Host, PeerTarget } from "../network/index.ts";
import type { Finding } from "./finding.ts";

export interface DoctorOptions {
  /** As the operator typed them. */
  bootstraps: readonly string[];
  /** Undefined: nothing is asked about a cluster. */
  cluster?: string | undefined;
  // of the node that is to run here
  /** Multiaddrs. */
  listen: readonly string[];
  shard?: { index: number; count?: number } | LayerRange | undefined;
  modelDir?: string | undefined;
  contextLength?: number | undefined;
  sessions: number;
  /** Memory for shards, at most; undefined: what is free. */
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
  /** False: its name has no address. */
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
   * Two guests, since a peer that is connected is not dialed again: `tcp` has no QUIC. Everything after is asked by the other, which
   * goes whichever way there is.
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
  /** The shard is in the folder and fits. */
  hasShard?: boolean | undefined;
}

export type Check = (examination: Examination) => Promise<Finding[]>;
