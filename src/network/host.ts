/** A node in the network, without a trace of libp2p: dial peers, open streams, answer them. */
import type { Clock, EventSink, ShoalError } from "../lib/index.ts";
import type { PeerTarget } from "./address.ts";
import type { ConnectionInfo, PeerChange, WaitOptions } from "./connections.ts";
import type { Dht } from "./dht/dht.ts";
import type { RecordKind } from "./dht/records.ts";
import type { DhtStoreLimits } from "./dht/store.ts";
import type { FrameStream, FrameStreamOptions } from "./frame-stream.ts";
import type { HeartbeatOptions } from "./heartbeat.ts";
import type { HostMetrics } from "./libp2p.ts";

export interface HostOptions {
  /** The node's key file, made if missing; without it a key for this run. */
  keyPath?: string | undefined;
  /** Multiaddrs to listen on (see parseListen); none: only dials out. */
  listen?: readonly string[] | undefined;
  /** Addresses to tell others, where the real ones are not reachable for them. */
  announce?: readonly string[] | undefined;
  /** False: TCP only. */
  quic?: boolean | undefined;
  events?: EventSink | undefined;
  /** A folder for the peer and DHT database; without it both are forgotten at the end. */
  datastorePath?: string | undefined;
  version?: string | undefined;
  heartbeat?: HeartbeatOptions | undefined;
  /** A connection without a stream for this long is closed; undefined: it stays. */
  idleConnectionMs?: number | undefined;
  /** What may be kept in the DHT, by this host and by whoever it asks. */
  recordKinds?: readonly RecordKind[] | undefined;
  dhtLimits?: Partial<DhtStoreLimits> | undefined;
  /** For a guest that stays a moment: it asks the DHT, and nobody counts on it. */
  dhtClient?: boolean | undefined;
  /** Where libp2p counts what it does. */
  metrics?: HostMetrics | undefined;
  clock?: Clock | undefined;
  random?: (() => number) | undefined;
}

export interface RequestContext {
  /** The authenticated peer of the connection; never a field of a message. */
  peer: string;
  /** Aborts when the peer gives up, the connection is lost, or the deadline is over. */
  signal: AbortSignal;
}

/** The reply, in parts that are sent one after the other. */
export type RequestHandler = (
  payload: Uint8Array,
  context: RequestContext,
) => Promise<Uint8Array | Uint8Array[]>;

export interface RequestLimits {
  maxRequestBytes?: number | undefined;
  maxReplyBytes?: number | undefined;
  /** How long a request may take to arrive. */
  readMs?: number | undefined;
  /** How long the handler may take. */
  handleMs?: number | undefined;
  maxRequestsPerPeer?: number | undefined;
}

export interface RequestOptions extends WaitOptions {
  maxRequestBytes?: number | undefined;
  maxReplyBytes?: number | undefined;
}

export interface HandleStreamsOptions extends FrameStreamOptions {
  maxStreamsPerPeer?: number | undefined;
}

export interface Host extends AsyncDisposable {
  readonly peerId: string;
  /** Addresses others can dial, with /p2p/<id>. */
  addresses(): string[];
  /** A signature by the node's key; `verify` checks it. */
  sign(data: Uint8Array): Promise<Uint8Array>;
  /** An open connection to the peer, or a new one. Rejects with DIAL_FAILED (what each address said) or DEADLINE. */
  connect(
    target: PeerTarget | string,
    options?: WaitOptions,
  ): Promise<ConnectionInfo>;
  connections(): ConnectionInfo[];
  /** Returns the function that ends the subscription. */
  onPeer(listener: (change: PeerChange) => void): () => void;
  /** In order; with a reason at once, whatever is on its way. */
  disconnect(peer: string, reason?: ShoalError): Promise<void>;
  /** One echo on the best open connection, ms. */
  ping(peer: string, options?: WaitOptions): Promise<number>;
  handleStreams(
    protocol: string,
    onStream: (stream: FrameStream) => void,
    options: HandleStreamsOptions,
  ): void;
  /** Connects if need be. Rejects with DIAL_FAILED, PROTOCOL_UNSUPPORTED, STREAM_CLOSED or DEADLINE. */
  openStream(
    target: PeerTarget | string,
    protocol: string,
    options: FrameStreamOptions & WaitOptions,
  ): Promise<FrameStream>;
  handleRequests(
    protocol: string,
    handler: RequestHandler,
    limits?: RequestLimits,
  ): void;
  request(
    target: PeerTarget | string,
    protocol: string,
    payload: Uint8Array,
    options?: RequestOptions,
  ): Promise<Uint8Array>;
  readonly dht: Dht;
  /** Peers in the DHT's routing table. */
  dhtPeers(): number;
  /** After each change of it. Returns the function that ends the subscription. */
  onDhtChange(listener: () => void): () => void;
  /** Listens and begins to answer. Twice without harm. */
  start(): Promise<void>;
  /** Closes everything. Twice without harm; a stopped host does not start again. */
  stop(): Promise<void>;
}
