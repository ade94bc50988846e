/** The open connections of a node, and dialling more. */
import type { Connection } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import {
  abortable,
  deadline,
  isShoalError,
  reasonOf,
  type ShoalError,
  withDeadline,
} from "../lib/index.ts";
import {
  describeAddress,
  TRANSPORT_RANK,
  transportOf,
  type PeerTarget,
  type TransportName,
} from "./address.ts";
import { DEFAULTS } from "./defaults.ts";
import { raceAddresses } from "./dial.ts";
import { dialFailed } from "./failures.ts";
import { Heartbeat, type HeartbeatOptions } from "./heartbeat.ts";
import { IdleConnections } from "./idle-connections.ts";
import type { Node } from "./libp2p.ts";

export interface ConnectionInfo {
  /** In this process. */
  id: string;
  peer: string;
  /** The remote address in use, with /p2p/. */
  address: string;
  transport: TransportName;
  direction: "inbound" | "outbound";
  /** Smoothed round trip; undefined until one was measured. */
  rttMs: number | undefined;
  /** The least round trip of the last seconds: what the link takes without load. */
  leastRttMs: number | undefined;
  /** When it opened, ms since the epoch. */
  sinceMs: number;
}

export interface PeerChange {
  /** A peer is connected while at least one connection to it is open. */
  type: "connected" | "disconnected";
  peer: string;
  connection: ConnectionInfo;
}

export interface WaitOptions {
  timeoutMs?: number | undefined;
  /** The id of an open connection to the peer: this one and no other is used. */
  over?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface ConnectionsOptions {
  node: Node;
  quic: boolean;
  heartbeat: HeartbeatOptions | undefined;
  idleMs: number | undefined;
}

interface Tracked {
  connection: Connection;
  heartbeat: Heartbeat;
  transport: TransportName;
}

/** The part of libp2p's transport manager that a dial needs. */
interface TransportDialer {
  dial(
    address: Multiaddr,
    options: { signal: AbortSignal },
  ): Promise<Connection>;
}

export class Connections {
  readonly #node: Node;
  readonly #self: string;
  readonly #options: ConnectionsOptions;
  readonly #peers = new Map<string, Tracked[]>();
  readonly #dials = new Map<string, Promise<Connection>>();
  /** The address that was dialled: the connection itself does not know a name. */
  readonly #dialedAs = new WeakMap<Connection, string>();
  readonly #listeners = new Set<(change: PeerChange) => void>();
  readonly #stopping = new AbortController();
  readonly #idle: IdleConnections | undefined;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    const { idleMs } = options;
    this.#idle = idleMs === undefined ? undefined : new IdleConnections(idleMs);
    this.#node = options.node;
    this.#self = options.node.peerId.toString();
    this.#node.addEventListener("connection:open", ({ detail }) => {
      this.#onOpen(detail);
    });
    this.#node.addEventListener("connection:close", ({ detail }) => {
      this.#onClose(detail);
    });
  }

  stop(): void {
    this.#stopping.abort(dialFailed("this host is stopping", {}));
    this.#idle?.stop();
    for (const { heartbeat } of this.#all()) heartbeat.stop();
  }

  list(): ConnectionInfo[] {
    return this.#all().map(describe);
  }

  onPeer(listener: (change: PeerChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async disconnect(peer: string, reason?: ShoalError): Promise<void> {
    const open = this.#peers.get(peer) ?? [];
    await Promise.allSettled(
      open.map(async ({ connection }) => {
        if (reason === undefined) await connection.close();
        else connection.abort(reason);
      }),
    );
  }

  async ping(peer: string, options: WaitOptions = {}): Promise<number> {
    const { timeoutMs = DEFAULTS.openStreamMs, signal } = options;
    const tracked = this.#best(peer);
    if (tracked === undefined) {
      throw dialFailed(`not connected to ${peer}`, { peer });
    }
    return await withDeadline(
      timeoutMs,
      `echo of ${peer}`,
      () => tracked.heartbeat.ping(),
      { ...(signal && { signal }) },
    );
  }

  async connect(
    target: PeerTarget,
    options: WaitOptions,
  ): Promise<ConnectionInfo> {
    const connection = await this.open(target, options);
    const peer = connection.remotePeer.toString();
    const tracked = this.#peers
      .get(peer)
      ?.find((t) => t.connection.id === connection.id);
    if (tracked === undefined) {
      throw dialFailed(`${peer} closed the connection at once`, { peer });
    }
    return describe(tracked);
  }

  /** An open connection, or a new one. Callers that want the same peer share a dial, each with its own deadline. */
  async open(target: PeerTarget, options: WaitOptions): Promise<Connection> {
    const { peerId, addresses } = target;
    const { timeoutMs = DEFAULTS.dialMs, over, signal } = options;
    if (this.#stopping.signal.aborted) throw reasonOf(this.#stopping.signal);
    if (over !== undefined) return this.#named(over);
    if (peerId === this.#self) throw this.#dialsItself();
    const open =
      peerId === undefined
        ? this.#openTo(addresses)
        : this.#best(peerId)?.connection;
    if (open !== undefined) return open;
    const key = peerId ?? addresses.join();
    const name = peerId ?? describeAddress(addresses[0] ?? "");
    let dial = this.#dials.get(key);
    if (dial === undefined) {
      dial = this.#dial(name, target).finally(() => this.#dials.delete(key));
      this.#dials.set(key, dial);
    }
    const shared = dial;
    return await withDeadline(timeoutMs, `dial of ${name}`, () => shared, {
      ...(signal && { signal }),
      code: "DIAL_FAILED",
      details: { peer: name },
    });
  }

  #named(id: string): Connection {
    const tracked = this.#all().find(({ connection }) => connection.id === id);
    if (tracked?.connection.status === "open") return tracked.connection;
    throw dialFailed("the connection is closed", {});
  }

  async #dial(name: string, target: PeerTarget): Promise<Connection> {
    // It has its own deadline, so that one impatient caller does not end the dial of the others.
    const limit = deadline(
      DEFAULTS.dialMs,
      `dial of ${name}`,
      this.#stopping.signal,
      "DIAL_FAILED",
    );
    try {
      const known = await this.#knownAddresses(target, limit.signal);
      const connection = await raceAddresses(name, known, {
        signal: limit.signal,
        dial: (address, signal) => this.#dialAddress(address, signal),
        discard: (late) => late.abort(new Error("another address was faster")),
      });
      if (connection.remotePeer.toString() === this.#self) {
        throw this.#dialsItself();
      }
      await this.#node.peerStore.merge(connection.remotePeer, {
        multiaddrs: [connection.remoteAddr],
      });
      return connection;
    } catch (error) {
      // The last address's error is the cause. If that address was this node itself, all were.
      const cause = error instanceof Error ? error.cause : undefined;
      throw isShoalError(cause) && cause.details.self === true ? cause : error;
    } finally {
      limit.clear();
    }
  }

  /** libp2p's interface hides the transport manager; its dial queue would try addresses one after the other. */
  async #dialAddress(
    address: string,
    signal: AbortSignal,
  ): Promise<Connection> {
    const { transportManager } = (
      this.#node as unknown as {
        components: { transportManager: TransportDialer };
      }
    ).components;
    const dialing = transportManager.dial(multiaddr(address), { signal });
    dialing.then(
      (connection) => {
        if (signal.aborted) connection.abort(new Error("too late"));
        else this.#dialedAs.set(connection, address);
      },
      () => {},
    );
    try {
      return await abortable(dialing, signal);
    } catch (error) {
      // libp2p recognizes this node's own id only after the handshake.
      if (/dial self/i.test(String(error))) throw this.#dialsItself();
      throw error;
    }
  }

  /** The given addresses, else remembered ones, else those from the DHT; each with the id that the peer must prove. */
  async #knownAddresses(
    { peerId, addresses }: PeerTarget,
    signal: AbortSignal,
  ): Promise<string[]> {
    let found = [...addresses];
    if (peerId !== undefined) {
      const id = peerIdFromString(peerId);
      if (found.length === 0) {
        const peer = await this.#node.peerStore.get(id).catch(() => undefined);
        found = peer?.addresses.map((a) => a.multiaddr.toString()) ?? [];
      }
      if (found.length === 0) {
        const info = await this.#node.peerRouting
          .findPeer(id, { signal })
          .catch(() => undefined);
        found = info?.multiaddrs.map((a) => a.toString()) ?? [];
      }
      found = found
        .map((a) => (/\/p2p\/\w+$/.test(a) ? a : `${a}/p2p/${peerId}`))
        .filter((a) => a.endsWith(`/p2p/${peerId}`));
    }
    return this.#options.quic
      ? found
      : found.filter((a) => transportOf(a) !== "QUIC");
  }

  #onOpen(connection: Connection): void {
    if (this.#stopping.signal.aborted) return;
    const peer = connection.remotePeer.toString();
    const transport = transportOf(connection.remoteAddr.toString());
    const heartbeat = new Heartbeat(connection, {
      ...(transport === "QUIC" && { intervalMs: DEFAULTS.heartbeatQuicMs }),
      ...this.#options.heartbeat,
      echoedBeside: (fromMs, toMs) =>
        (this.#peers.get(peer) ?? []).some(
          (other) =>
            other !== tracked && other.heartbeat.echoedBetween(fromMs, toMs),
        ),
    });
    const tracked: Tracked = { connection, heartbeat, transport };
    const open = this.#peers.get(peer) ?? [];
    open.push(tracked);
    this.#peers.set(peer, open);
    heartbeat.start();
    this.#watchBeside(open);
    this.#idle?.add(connection);
    if (open.length === 1) this.#tell("connected", tracked);
  }

  #onClose(connection: Connection): void {
    const peer = connection.remotePeer.toString();
    const open = this.#peers.get(peer) ?? [];
    const index = open.findIndex((t) => t.connection.id === connection.id);
    const [closed] = index === -1 ? [] : open.splice(index, 1);
    if (closed === undefined) return;
    closed.heartbeat.stop();
    this.#idle?.remove(connection);
    this.#watchBeside(open);
    if (open.length > 0) return;
    this.#peers.delete(peer);
    this.#tell("disconnected", closed);
  }

  #tell(type: PeerChange["type"], tracked: Tracked): void {
    const connection = describe(tracked);
    for (const listener of this.#listeners) {
      listener({ type, peer: connection.peer, connection });
    }
  }

  /** Of several, one may die alone. */
  #watchBeside(open: readonly Tracked[]): void {
    for (const { heartbeat } of open) heartbeat.setBeside(open.length > 1);
  }

  /** One that answers; QUIC before TCP before relays; among equals the oldest, so that streams share one. */
  #best(peer: string): Tracked | undefined {
    return (this.#peers.get(peer) ?? [])
      .filter(({ connection }) => connection.status === "open")
      .sort(
        (a, b) =>
          Number(a.heartbeat.isDoubtful) - Number(b.heartbeat.isDoubtful) ||
          TRANSPORT_RANK[a.transport] - TRANSPORT_RANK[b.transport],
      )[0];
  }

  /** For a target without an id: a connection that was dialled through one of these addresses. */
  #openTo(addresses: readonly string[]): Connection | undefined {
    const wanted = new Set(addresses);
    return this.#all().find(
      ({ connection }) =>
        connection.status === "open" &&
        wanted.has(this.#dialedAs.get(connection) ?? ""),
    )?.connection;
  }

  #all(): Tracked[] {
    return [...this.#peers.values()].flat();
  }

  #dialsItself(): Error {
    return dialFailed("a node cannot dial itself", {
      peer: this.#self,
      self: true,
    });
  }
}

function describe({
  connection,
  heartbeat,
  transport,
}: Tracked): ConnectionInfo {
  return {
    id: connection.id,
    peer: connection.remotePeer.toString(),
    address: connection.remoteAddr.toString(),
    transport,
    direction: connection.direction,
    rttMs: heartbeat.rttMs,
    leastRttMs: heartbeat.leastRttMs,
    sinceMs: connection.timeline.open,
  };
}
