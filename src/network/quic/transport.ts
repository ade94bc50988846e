/**
 * QUIC for libp2p: a thin transport over the native binding. It fixes what the stock wrapper of the same binding lacks: 64 KiB reads,
 * resets as errors, real back-pressure, signals when opening a stream, a handshake deadline, and name resolution.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { privateKeyToProtobuf } from "@libp2p/crypto/keys";
import {
  serviceCapabilities,
  transportSymbol,
  UnexpectedPeerError,
  type ComponentLogger,
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type PrivateKey,
  type Transport,
} from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import type { Multiaddr } from "@multiformats/multiaddr";
import { QUIC_V1 } from "@multiformats/multiaddr-matcher";
import { ShoalError, withDeadline } from "../../lib/index.ts";
import { DEFAULTS } from "../defaults.ts";
import { peerIdOf } from "../address.ts";
import { QuicConnection, QuicMuxerFactory } from "./connection.ts";
import { QuicListener, socketAddress } from "./listener.ts";
import type {
  NativeClient,
  NativeConnection,
  NativeQuic,
  NativeQuinnConfig,
} from "./native.ts";
import { UdpSockets } from "./udp-sockets.ts";

export interface QuicComponents {
  privateKey: PrivateKey;
  logger: ComponentLogger;
}

export interface QuicOptions {
  native: NativeQuic;
  /** Told of the transport's UDP sockets. */
  sockets?: UdpSockets;
  handshakeMs?: number;
  idleMs?: number;
  keepAliveMs?: number;
}

/** For libp2p's `transports`. */
export function quic(
  options: QuicOptions,
): (components: QuicComponents) => Transport {
  return (components) => new QuicTransport(components, options);
}

interface QuicDialOptions extends DialTransportOptions {
  /** The dial has a socket of its own, which ends with the connection: nobody can have seen it before. For an address without a name. */
  freshSocket?: boolean;
}

class QuicTransport implements Transport {
  readonly [Symbol.toStringTag] = "shoal-quic";
  readonly [transportSymbol] = true as const;
  readonly [serviceCapabilities] = ["@libp2p/transport"];

  readonly #components: QuicComponents;
  readonly #native: NativeQuic;
  readonly #sockets: UdpSockets;
  readonly #config: NativeQuinnConfig;
  readonly #handshakeMs: number;
  readonly #clients = new Map<4 | 6, NativeClient>();

  constructor(components: QuicComponents, options: QuicOptions) {
    const {
      native,
      sockets = new UdpSockets(),
      handshakeMs = DEFAULTS.quicHandshakeMs,
      idleMs = DEFAULTS.quicIdleMs,
      keepAliveMs = DEFAULTS.quicKeepAliveMs,
    } = options;
    this.#components = components;
    this.#native = native;
    this.#sockets = sockets;
    sockets.openDialler = (family) => this.#client(family);
    this.#handshakeMs = handshakeMs;
    this.#config = new native.QuinnConfig({
      privateKeyProto: privateKeyToProtobuf(components.privateKey),
      handshakeTimeout: handshakeMs,
      maxIdleTimeout: idleMs,
      keepAliveInterval: keepAliveMs,
      maxConcurrentStreamLimit: DEFAULTS.quicStreams,
      maxStreamData: DEFAULTS.quicStreamWindowBytes,
      maxConnectionData: DEFAULTS.quicConnectionWindowBytes,
      receiveBufferSize: DEFAULTS.quicSocketBufferBytes,
      sendBufferSize: DEFAULTS.quicSocketBufferBytes,
    });
  }

  listenFilter = (addresses: Multiaddr[]): Multiaddr[] =>
    addresses.filter((a) => QUIC_V1.exactMatch(a));
  dialFilter = this.listenFilter;

  start(): void {}

  stop(): void {
    this.#sockets.openDialler = undefined;
    this.#sockets.removeDiallers();
    for (const client of this.#clients.values()) client.abort();
    this.#clients.clear();
  }

  async dial(
    address: Multiaddr,
    options: DialTransportOptions,
  ): Promise<Connection> {
    const fresh =
      (options as QuicDialOptions).freshSocket === true
        ? this.#newClient(socketAddress(address).family)
        : undefined;
    const native = await withDeadline(
      this.#handshakeMs,
      "QUIC handshake",
      (signal) => this.#handshake(address, signal, fresh),
      { signal: options.signal, code: "DIAL_FAILED" },
    ).catch((error: unknown) => {
      fresh?.abort();
      throw error;
    });
    const connection = new QuicConnection({
      native,
      direction: "outbound",
      log: this.#components.logger.forComponent("shoal:quic:outbound"),
    });
    if (fresh !== undefined)
      connection.addEventListener("close", () => fresh.abort());
    try {
      const remotePeer = peerIdOf(connection.remoteAddr) ?? "";
      const wanted = peerIdOf(address);
      if (
        wanted !== undefined &&
        !peerIdFromString(wanted).equals(peerIdFromString(remotePeer))
      ) {
        throw new UnexpectedPeerError(
          `another peer answers there: ${remotePeer}`,
        );
      }
      return await options.upgrader.upgradeOutbound(connection, {
        skipEncryption: true,
        skipProtection: true,
        remotePeer: peerIdFromString(remotePeer),
        muxerFactory: new QuicMuxerFactory(native),
        signal: options.signal,
      });
    } catch (error) {
      connection.abort(error instanceof Error ? error : new Error("refused"));
      throw error;
    }
  }

  createListener(options: CreateListenerOptions): Listener {
    return new QuicListener({
      native: this.#native,
      config: this.#config,
      upgrader: options.upgrader,
      logger: this.#components.logger,
      sockets: this.#sockets,
    });
  }

  /** The first of a name's addresses that answers. A handshake that ends after the signal is discarded. */
  async #handshake(
    address: Multiaddr,
    signal: AbortSignal,
    fresh?: NativeClient,
  ): Promise<NativeConnection> {
    const { port } = socketAddress(address);
    let lastError: unknown;
    for (const { family, host } of await resolve(address)) {
      try {
        const client = fresh ?? this.#client(family);
        const native = await client.outboundConnection(host, port);
        if (!signal.aborted) return native;
        native.abort();
      } catch (error) {
        lastError = error;
      }
      signal.throwIfAborted();
    }
    throw ShoalError.from(lastError);
  }

  #client(family: 4 | 6): NativeClient {
    let client = this.#clients.get(family);
    if (client === undefined) {
      client = this.#sockets.makeDialler(family, () => this.#newClient(family));
      this.#clients.set(family, client);
    }
    return client;
  }

  #newClient(family: 4 | 6): NativeClient {
    return new this.#native.Client(this.#config, family === 4 ? 0 : 1);
  }
}

async function resolve(
  address: Multiaddr,
): Promise<{ family: 4 | 6; host: string }[]> {
  const { family, host } = socketAddress(address);
  if (isIP(host) !== 0) return [{ family, host }];
  const kind = address.getComponents()[0]?.name;
  const found = await lookup(host, {
    all: true,
    family: kind === "dns4" ? 4 : kind === "dns6" ? 6 : 0,
  });
  return found.map((f) => ({
    family: f.family === 6 ? 6 : 4,
    host: f.address,
  }));
}
