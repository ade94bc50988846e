/** The open connections of a node, and dialling more. */
import type { Connection } from "@libp2p/interface";
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
} from "./address.ts";
import { Aside } from "./aside.ts";
import { DEFAULTS } from "./defaults.ts";
import { raceAddresses } from "./dial.ts";
import { dialFailed } from "./failures.ts";
import { Heartbeat, type HeartbeatOptions } from "./heartbeat.ts";
import { IdleConnections } from "./idle-connections.ts";
import { knownAddresses } from "./known-addresses.ts";
import type { Node } from "./libp2p.ts";
import { OtherWays } from "./other-ways.ts";
import type { SeenAs } from "./seen-as.ts";
import {
  type ConnectionInfo,
  describe,
  describeBare,
  endIfSilent,
  leavesFromElsewhere,
  noteOwnIp,
  type Tracked,
} from "./tracked.ts";
import { dialTransport, type TransportDialOptions } from "./transport-dial.ts";
import { type Way, wayOf } from "./way.ts";

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
  seenAs: SeenAs;
  heartbeat: HeartbeatOptions | undefined;
  idleMs: number | undefined;
}

export class Connections {
  readonly aside = new Aside();
  /** Of inbound connections from public addresses. */
  inboundWay: Way | undefined;
  /** To peers none of whose addresses answers. */
  readonly otherWays = new OtherWays();
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

  /** Tells how the peers are connected where the address does not. Without effect if it is closed. */
  markWay(id: string, way: Way): void {
    const tracked = this.#all().find((t) => t.connection.id === id);
    if (tracked !== undefined) tracked.way = way;
  }

  /** A new connection to one address with its peer's id, over a socket that sent nothing before. Nobody else uses it. */
  async dialAside(
    address: string,
    { timeoutMs = DEFAULTS.addressDialMs, signal }: WaitOptions,
  ): Promise<ConnectionInfo> {
    const peer = /\/p2p\/(\w+)$/.exec(address)?.[1] ?? "";
    const done = this.aside.expect(peer, "outbound");
    const name = describeAddress(address);
    try {
      const connection = await withDeadline(
        timeoutMs,
        `dial of ${name}`,
        (limited) => this.dialAddress(address, limited, { freshSocket: true }),
        { ...(signal && { signal }), code: "DIAL_FAILED", details: { peer } },
      );
      return describeBare(connection, transportOf(address));
    } finally {
      done();
    }
  }

  /** Closes one of a peer's connections. */
  async close(id: string): Promise<void> {
    const one = this.#byId(id);
    await one?.close().catch((error: Error) => one.abort(error));
  }

  #byId(id: string): Connection | undefined {
    const tracked = this.#all().find((t) => t.connection.id === id);
    return tracked?.connection ?? this.aside.byId(id);
  }

  #named(id: string): Connection {
    const one = this.#byId(id);
    if (one?.status === "open") return one;
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
      const known = await knownAddresses(target, {
        ...this.#options,
        signal: limit.signal,
      });
      const connection = await this.otherWays.race(
        target.peerId,
        limit.signal,
        (signal) =>
          raceAddresses(name, known, {
            signal,
            dial: (address, one) => this.dialAddress(address, one),
            discard: (late) =>
              late.abort(new Error("another address was faster")),
          }),
        (peer) => this.#best(peer)?.connection,
      );
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

  async dialAddress(
    address: string,
    signal: AbortSignal,
    how: TransportDialOptions = {},
  ): Promise<Connection> {
    const dialing = dialTransport(this.#node, address, { ...how, signal });
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

  #onOpen(connection: Connection): void {
    if (this.#stopping.signal.aborted) return;
    const peer = connection.remotePeer.toString();
    if (this.aside.takes(connection)) return;
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
    const tracked: Tracked = {
      connection,
      heartbeat,
      transport,
      way: this.#wayIn(connection),
    };
    const open = this.#peers.get(peer) ?? [];
    open.push(tracked);
    this.#peers.set(peer, open);
    heartbeat.start();
    void noteOwnIp(tracked);
    this.#watchBeside(open);
    this.#idle?.add(connection);
    if (open.length === 1) this.#tell("connected", tracked);
  }

  /** Ends connections that left from an address which is gone, where there is another way now. Returns whose they were. */
  async endThoseFromElsewhere(own: readonly string[]): Promise<string[]> {
    const ended = this.#all().map(async (tracked) => {
      if (!(await leavesFromElsewhere(tracked, own))) return [];
      const { connection } = tracked;
      connection.abort(new Error("this machine's address changed"));
      return [connection.remotePeer.toString()];
    });
    return (await Promise.all(ended)).flat();
  }

  /** Ends those of a peer's connections that do not answer now. */
  async look(peer: string): Promise<void> {
    const open = this.#peers.get(peer) ?? [];
    if (open.length < 2) return;
    await Promise.all(open.map((tracked) => endIfSilent(tracked)));
  }

  #wayIn({ direction, remoteAddr }: Connection): Way | undefined {
    if (direction === "outbound") return undefined;
    return wayOf(remoteAddr.toString()) === "direct"
      ? this.inboundWay
      : undefined;
  }

  #onClose(connection: Connection): void {
    if (this.aside.drops(connection)) return;
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
