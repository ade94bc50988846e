/** A host in the network: dials peers, opens and answers streams. It shows nothing of libp2p. */
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
  /** The key file, created if missing; without it a key for this run. */
  keyPath?: string | undefined;
  /** Multiaddrs to listen on (see parseListen); if empty, it only dials out. */
  listen?: readonly string[] | undefined;
  /** Addresses to announce if others cannot reach the real ones. */
  announce?: readonly string[] | undefined;
  /** False: TCP only. */
  quic?: boolean | undefined;
  events?: EventSink | undefined;
  /** A folder for the peer and DHT database; without it both are forgotten at the stop. */
  datastorePath?: string | undefined;
  version?: string | undefined;
  heartbeat?: HeartbeatOptions | undefined;
  /** A connection without a stream for this long is closed; if undefined, it stays. */
  idleConnectionMs?: number | undefined;
  /** The kinds of records that this host and its peers keep in the DHT. */
  recordKinds?: readonly RecordKind[] | undefined;
  dhtLimits?: Partial<DhtStoreLimits> | undefined;
  /** For a short-lived process: it asks the DHT but does not serve it. */
  dhtClient?: boolean | undefined;
  /** Where libp2p reports its metrics. */
  metrics?: HostMetrics | undefined;
  clock?: Clock | undefined;
  random?: (() => number) | undefined;
}

export interface RequestContext {
  /** The connection's authenticated peer, never a field of a message. */
  peer: string;
  /** Aborts when the peer gives up, the connection is lost, or the deadline passes. */
  signal: AbortSignal;
}

/** The reply, in parts that are sent in order. */
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
  /** Addresses that others can dial, with /p2p/<id>. */
  addresses(): string[];
  /** A signature by the node's key; `verify` checks it. */
  sign(data: Uint8Array): Promise<Uint8Array>;
  /** An open connection to the peer, or a new one. Rejects with DIAL_FAILED (each address's error) or DEADLINE. */
  connect(
    target: PeerTarget | string,
    options?: WaitOptions,
  ): Promise<ConnectionInfo>;
  connections(): ConnectionInfo[];
  /** Returns the function that ends the subscription. */
  onPeer(listener: (change: PeerChange) => void): () => void;
  /** Closes in order; with a reason at once, dropping what is in flight. */
  disconnect(peer: string, reason?: ShoalError): Promise<void>;
  /** One echo on the best open connection, ms. */
  ping(peer: string, options?: WaitOptions): Promise<number>;
  handleStreams(
    protocol: string,
    onStream: (stream: FrameStream) => void,
    options: HandleStreamsOptions,
  ): void;
  /** Connects if necessary. Rejects with DIAL_FAILED, PROTOCOL_UNSUPPORTED, STREAM_CLOSED or DEADLINE. */
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
  /** Called after each change of it. Returns the function that ends the subscription. */
  onDhtChange(listener: () => void): () => void;
  /** Listens and begins to answer. May be called twice. */
  start(): Promise<void>;
  /** Closes everything. May be called twice; a stopped host does not start again. */
  stop(): Promise<void>;
}
