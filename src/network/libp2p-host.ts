/** The host on libp2p: lifecycle, handlers, streams. */
import { privateKeyFromProtobuf } from "@libp2p/crypto/keys";
import type { Connection, Stream } from "@libp2p/interface";
import {
  settledWithin,
  ShoalError,
  systemClock,
  withDeadline,
} from "../lib/index.ts";
import { transportOf, type PeerTarget } from "./address.ts";
import {
  Connections,
  type PeerChange,
  type WaitOptions,
} from "./connections.ts";
import { DEFAULTS } from "./defaults.ts";
import { openFailed } from "./failures.ts";
import {
  Libp2pFrameStream,
  type FrameStream,
  type FrameStreamOptions,
} from "./frame-stream.ts";
import { echoHeartbeat, HEARTBEAT_PROTOCOL } from "./heartbeat.ts";
import type {
  HandleStreamsOptions,
  Host,
  HostOptions,
  RequestHandler,
  RequestLimits,
  RequestOptions,
} from "./host.ts";
import type { Identity } from "./identity.ts";
import { Libp2pDht } from "./dht/libp2p-dht.ts";
import type { BuiltNode, Node } from "./libp2p.ts";
import { AnnouncedAddresses } from "./announced-addresses.ts";
import { Moves } from "./moves.ts";
import type { OtherWay } from "./other-ways.ts";
import { type Punching, punchingOf } from "./punching.ts";
import { handleRequests, request } from "./request.ts";
import { SeenAs } from "./seen-as.ts";
import type { ConnectionInfo } from "./tracked.ts";
import type { Way } from "./way.ts";

export class Libp2pHost implements Host {
  readonly peerId: string;
  readonly dht: Libp2pDht;
  readonly seenAs = new SeenAs();
  readonly #addresses: AnnouncedAddresses;
  readonly punching: Punching;
  readonly #identity: Identity;
  readonly #node: Node;
  readonly #built: BuiltNode;
  readonly #options: HostOptions;
  readonly #quicMissing: string | undefined;
  readonly #connections: Connections;
  readonly #moves: Moves;
  readonly #handlers = new Map<string, () => Promise<void>>();
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(
    identity: Identity,
    built: BuiltNode,
    options: HostOptions,
    quicMissing: string | undefined,
  ) {
    this.peerId = identity.peerId;
    this.#identity = identity;
    this.#built = built;
    this.#node = built.node;
    this.#options = options;
    this.#quicMissing = quicMissing;
    this.#connections = new Connections({
      node: built.node,
      quic: quicMissing === undefined,
      seenAs: this.seenAs,
      heartbeat: options.heartbeat,
      idleMs: options.idleConnectionMs,
    });
    this.#addresses = new AnnouncedAddresses(built);
    this.punching = punchingOf({
      quicMissing,
      sockets: built.udpSockets,
      dial: (address, signal, how) =>
        this.#connections.dialAddress(address, signal, how),
    });
    this.dht = new Libp2pDht({
      node: built.node,
      store: built.store,
      kinds: built.kinds,
      clock: options.clock ?? systemClock,
      random: options.random ?? Math.random,
      sign: (data) => this.sign(data),
    });
    this.#moves = new Moves(this, this.#connections);
    this.#handle(HEARTBEAT_PROTOCOL, 4, (stream) => echoHeartbeat(stream));
  }

  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  addresses(): string[] {
    return this.#addresses.all();
  }

  announce(addresses: readonly string[], seenAs?: readonly string[]): void {
    const isNews = seenAs !== undefined && this.seenAs.setOwn(seenAs);
    this.#addresses.announce(addresses, isNews);
  }

  onAddresses(listener: () => void): () => void {
    return this.#addresses.onChange(listener);
  }

  markWay(connectionId: string, way: Way): void {
    this.#connections.markWay(connectionId, way);
  }

  setInboundWay(way: Way): void {
    this.#connections.inboundWay = way;
  }

  async dialAside(
    address: string,
    options: WaitOptions = {},
  ): Promise<ConnectionInfo> {
    await this.#running();
    return await this.#connections.dialAside(address, options);
  }

  expectAside(peer: string): () => void {
    return this.#connections.aside.expect(peer, "inbound");
  }

  async closeConnection(id: string): Promise<void> {
    await this.#connections.close(id);
  }

  async relayThrough(peer: string, options: WaitOptions = {}): Promise<void> {
    const { timeoutMs = DEFAULTS.relayHopMs, signal } = options;
    const { circuits } = this.#built;
    await this.#connections.open({ peerId: peer, addresses: [] }, options);
    await withDeadline(
      timeoutMs,
      `place at relay ${peer}`,
      () => circuits.reserve(peer),
      { ...(signal && { signal }), details: { peer } },
    );
  }

  relays(): string[] {
    return this.#built.circuits.relays();
  }

  async sign(data: Uint8Array): Promise<Uint8Array> {
    return await privateKeyFromProtobuf(this.#identity.privateKey).sign(data);
  }

  async connect(
    target: PeerTarget | string,
    options: WaitOptions = {},
  ): Promise<ConnectionInfo> {
    await this.#running();
    return await this.#connections.connect(asTarget(target), options);
  }

  connections(): ConnectionInfo[] {
    return this.#connections.list();
  }

  onPeer(listener: (change: PeerChange) => void): () => void {
    return this.#connections.onPeer(listener);
  }

  onUnreachable(way: OtherWay): () => void {
    return this.#connections.otherWays.add(way);
  }

  async disconnect(peer: string, reason?: ShoalError): Promise<void> {
    await this.#connections.disconnect(peer, reason);
  }

  async ping(peer: string, options: WaitOptions = {}): Promise<number> {
    return await this.#connections.ping(peer, options);
  }

  handleStreams(
    protocol: string,
    onStream: (stream: FrameStream) => void,
    options: HandleStreamsOptions,
  ): void {
    const { maxStreamsPerPeer = DEFAULTS.streamsPerPeer } = options;
    const open = new Map<string, number>();
    this.#handle(protocol, maxStreamsPerPeer, (stream, connection) => {
      const peer = connection.remotePeer.toString();
      const count = (open.get(peer) ?? 0) + 1;
      if (count > maxStreamsPerPeer) {
        stream.abort(
          new ShoalError(
            "RATE_LIMITED",
            `${peer} has ${maxStreamsPerPeer} streams open`,
            { peer },
          ),
        );
        return;
      }
      open.set(peer, count);
      const frames = this.#wrap(stream, connection, options);
      frames.onClose(() => {
        const left = (open.get(peer) ?? 1) - 1;
        if (left === 0) open.delete(peer);
        else open.set(peer, left);
      });
      onStream(frames);
    });
  }

  async openStream(
    target: PeerTarget | string,
    protocol: string,
    options: FrameStreamOptions & WaitOptions,
  ): Promise<FrameStream> {
    const { timeoutMs = DEFAULTS.dialMs, over, signal } = options;
    const { peerId, addresses } = asTarget(target);
    const peer = peerId ?? addresses[0] ?? "nobody";
    return await withDeadline(
      timeoutMs,
      `stream ${protocol} to ${peer}`,
      async (limited) => {
        await this.#running();
        const connection = await this.#connections.open(
          { peerId, addresses },
          { timeoutMs, over, signal: limited },
        );
        try {
          const stream = await connection.newStream([protocol], {
            signal: limited,
            maxOutboundStreams: DEFAULTS.quicStreams,
            runOnLimitedConnection: true,
          });
          if (limited.aborted) stream.abort(new Error("too late"));
          return this.#wrap(stream, connection, options);
        } catch (error) {
          throw openFailed(
            connection.remotePeer.toString(),
            protocol,
            limited.aborted ? limited.reason : error,
          );
        }
      },
      { ...(signal && { signal }), details: { peer, protocol } },
    );
  }

  handleRequests(
    protocol: string,
    handler: RequestHandler,
    limits: RequestLimits = {},
  ): void {
    handleRequests(this, protocol, handler, limits);
  }

  async request(
    target: PeerTarget | string,
    protocol: string,
    payload: Uint8Array,
    options: RequestOptions = {},
  ): Promise<Uint8Array> {
    return await request(this, target, protocol, payload, options);
  }

  dhtPeers(): number {
    return this.#node.services.dht.routingTable.size;
  }

  onDhtChange(listener: () => void): () => void {
    const table = this.#node.services.dht.routingTable;
    // The table emits its event before it counts.
    const later = (): void => queueMicrotask(listener);
    table.addEventListener("peer:add", later);
    table.addEventListener("peer:remove", later);
    return () => {
      table.removeEventListener("peer:add", later);
      table.removeEventListener("peer:remove", later);
    };
  }

  // lifecycle

  async #start(): Promise<void> {
    if (this.#stopped !== undefined)
      throw new ShoalError("INTERNAL", "a stopped host does not start again");
    for (const register of this.#handlers.values()) await register();
    try {
      await this.#node.start();
    } catch (error) {
      await this.#built.closeDatastore();
      throw this.#built.listenErrors[0] ?? ShoalError.from(error);
    }
    this.dht.start();
    this.#addresses.start();
    this.#moves.start();
    const { events, listen = [] } = this.#options;
    if (this.#quicMissing === undefined) {
      events?.info("TRANSPORT", "QUIC and TCP", { quic: true, tcp: true });
    } else {
      events?.warn(
        "TRANSPORT",
        `TCP only: QUIC is ${this.#options.quic === false ? "" : "unavailable, "}${this.#quicMissing}`,
        {
          quic: false,
          tcp: true,
          reason: this.#quicMissing,
        },
      );
    }
    if (listen.length > 0) {
      const real = this.addresses();
      events?.info("LISTEN", `listening on ${real.length} addresses`, {
        asked: [...listen],
        real,
      });
    }
  }

  async #stop(): Promise<void> {
    await this.#started?.catch(() => {});
    this.#connections.stop();
    this.#addresses.stop();
    this.#moves.stop();
    await settledWithin(
      DEFAULTS.stopMs,
      this.dht.stop().then(() => this.#node.stop()),
    );
    await this.#built.closeDatastore();
  }

  async #running(): Promise<void> {
    if (this.#started === undefined || this.#stopped !== undefined) {
      throw new ShoalError("DIAL_FAILED", "this host is not running");
    }
    await this.#started;
  }

  // streams

  /** Handlers registered before the start are kept, so that none is missing when the first peer asks. */
  #handle(
    protocol: string,
    maxStreams: number,
    onStream: (stream: Stream, connection: Connection) => void,
  ): void {
    let registered: Promise<void> | undefined;
    const register = (): Promise<void> =>
      (registered ??= this.#node.handle(protocol, onStream, {
        // libp2p counts a stream for a moment longer than its owner does; the owner's count is the limit.
        maxInboundStreams: 2 * maxStreams + 8,
        // This limit also applies to a protocol that we handle ourselves (libp2p 3.3.11, connection.ts).
        maxOutboundStreams: DEFAULTS.quicStreams,
        runOnLimitedConnection: true,
      }));
    if (this.#handlers.has(protocol))
      throw new ShoalError("INTERNAL", `${protocol} has a handler already`, {
        protocol,
      });
    this.#handlers.set(protocol, register);
    if (this.#started !== undefined) {
      register().catch((error: unknown) => {
        this.#options.events?.error(
          "MSG",
          `cannot handle ${protocol}: ${ShoalError.from(error).message}`,
          { protocol },
        );
      });
    }
  }

  #wrap(
    stream: Stream,
    connection: Connection,
    options: FrameStreamOptions,
  ): FrameStream {
    return new Libp2pFrameStream(
      stream,
      {
        peer: connection.remotePeer.toString(),
        address: connection.remoteAddr.toString(),
        transport: transportOf(connection.remoteAddr.toString()),
      },
      options,
    );
  }
}

function asTarget(target: PeerTarget | string): PeerTarget {
  return typeof target === "string"
    ? { peerId: target, addresses: [] }
    : target;
}
