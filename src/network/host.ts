/** A host in the network: dials peers, opens and answers streams. It shows nothing of libp2p. */
import type { Clock, EventSink, ShoalError } from "../lib/index.ts";
import type { PeerTarget } from "./address.ts";
import type { PeerChange, WaitOptions } from "./connections.ts";
import type { Dht } from "./dht/dht.ts";
import type { RecordKind } from "./dht/records.ts";
import type { DhtStoreLimits } from "./dht/store.ts";
import type { FrameStream, FrameStreamOptions } from "./frame-stream.ts";
import type { HeartbeatOptions } from "./heartbeat.ts";
import type { HostMetrics } from "./libp2p.ts";
import type { RelayPolicy } from "./relay.ts";
import type { SeenAs } from "./seen-as.ts";
import type { ConnectionInfo } from "./tracked.ts";
import type { Way } from "./way.ts";
import type { OtherWay } from "./other-ways.ts";
import type { Punching } from "./punching.ts";

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
  /** It connects peers with each other that cannot reach each other, as far as this allows; without it never. */
  relay?: RelayPolicy | undefined;
  /** Where libp2p reports its metrics. */
  metrics?: HostMetrics | undefined;
  clock?: Clock | undefined;
  random?: (() => number) | undefined;
}

export interface RequestContext {
  /** The connection's authenticated peer, never a field of a message. */
  peer: string;
  /** The peer's address on the connection that the request came over. */
  address: string;
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
  /** Addresses that others can dial, with /p2p/<id>: what was proved from outside, then those of this machine's interfaces. */
  addresses(): string[];
  /**
   * Replaces the addresses that others proved to lead here, beside those of this machine's interfaces; without /p2p/<id>. `seenAs`, if it
   * is given, replaces the public IPs at which others see this host.
   */
  announce(addresses: readonly string[], seenAs?: readonly string[]): void;
  /** Called after addresses() or seenAs.own changed. Returns the function that ends the subscription. */
  onAddresses(listener: () => void): () => void;
  /** Where this host and its peers are seen: decides which of a peer's private addresses are dialled. */
  readonly seenAs: SeenAs;
  /** How a connection came to be, where its address does not tell. */
  markWay(connectionId: string, way: Way): void;
  /** How inbound connections from public addresses come to be, from now on. */
  setInboundWay(way: Way): void;
  /**
   * A new connection to an address with its peer's id, whatever else is open, over a socket that sent nothing before. Nothing uses it but
   * what names it (`over`). Rejects with DIAL_FAILED.
   */
  dialAside(address: string, options?: WaitOptions): Promise<ConnectionInfo>;
  /** Until the returned function is called, connections that the peer opens are used by nothing here. */
  expectAside(peer: string): () => void;
  /** Closes one connection. */
  closeConnection(id: string): Promise<void>;
  /**
   * Others reach this host through the peer too, while the connection with it lasts. Rejects with DIAL_FAILED, PROTOCOL_UNSUPPORTED if it
   * relays nothing, or RELAY_LIMIT.
   */
  relayThrough(peer: string, options?: WaitOptions): Promise<void>;
  /** Peers through which this host is reached now. */
  relays(): string[];
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
  /** Tries `way` too where a peer with a known id is dialled. Returns the function that ends it. */
  onUnreachable(way: OtherWay): () => void;
  readonly punching: Punching;
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
