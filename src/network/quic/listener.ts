/** Accepts QUIC connections on one address. */
import { networkInterfaces } from "node:os";
import {
  setMaxListeners,
  TypedEventEmitter,
  type ComponentLogger,
  type Listener,
  type ListenerEvents,
  type Upgrader,
} from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { isLinkLocalIp } from "@libp2p/utils";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import { ShoalError } from "../../lib/index.ts";
import { DEFAULTS } from "../defaults.ts";
import { peerIdOf } from "../address.ts";
import { QuicConnection, QuicMuxerFactory } from "./connection.ts";
import type {
  NativeConnection,
  NativeQuic,
  NativeQuinnConfig,
  NativeServer,
} from "./native.ts";
import type { UdpSockets } from "./udp-sockets.ts";

export interface QuicListenerInit {
  native: NativeQuic;
  config: NativeQuinnConfig;
  upgrader: Upgrader;
  logger: ComponentLogger;
  /** Told of this listener's. */
  sockets: UdpSockets;
}

export class QuicListener
  extends TypedEventEmitter<ListenerEvents>
  implements Listener
{
  readonly #init: QuicListenerInit;
  readonly #stopping = new AbortController();
  readonly #connections = new Set<QuicConnection>();
  #server: NativeServer | undefined;
  #address: { family: 4 | 6; host: string; port: number } | undefined;

  constructor(init: QuicListenerInit) {
    super();
    this.#init = init;
    setMaxListeners(Infinity, this.#stopping.signal);
  }

  updateAnnounceAddrs(): void {}

  getAddrs(): Multiaddr[] {
    if (this.#address === undefined) return [];
    const { family, host, port } = this.#address;
    const hosts =
      host === "0.0.0.0" || host === "::" ? interfaceAddresses(family) : [host];
    return hosts.map((h) => multiaddr(`/ip${family}/${h}/udp/${port}/quic-v1`));
  }

  async listen(address: Multiaddr): Promise<void> {
    const { family, host, port } = socketAddress(address);
    try {
      this.#server = new this.#init.native.Server(
        this.#init.config,
        host,
        port,
      );
    } catch (error) {
      const { message } = ShoalError.from(error);
      // The binding's errors are text; this one comes from the Rust standard library and the system.
      if (
        /address (already )?in use|os error 98\b|os error 10048\b/i.test(
          message,
        )
      ) {
        throw new ShoalError(
          "PORT_IN_USE",
          `UDP port ${port} of ${host} is in use`,
          { port, host, transport: "QUIC" },
          error,
        );
      }
      throw error;
    }
    this.#address = { family, host, port: this.#server.port() };
    this.#init.sockets.addListener(this, family, this.#address.port);
    for (let i = 0; i < DEFAULTS.quicAccepts; i++) {
      void this.#acceptLoop(this.#server);
    }
    this.safeDispatchEvent("listening");
  }

  async close(): Promise<void> {
    if (this.#server === undefined) return;
    const server = this.#server;
    this.#server = undefined;
    this.#init.sockets.removeListener(this);
    this.#stopping.abort();
    for (const connection of this.#connections) {
      connection.abort(new Error("listener closed"));
    }
    await server.abort();
    this.#address = undefined;
    this.safeDispatchEvent("close");
  }

  async #acceptLoop(server: NativeServer): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        void this.#onConnection(await server.inboundConnection());
      } catch (error) {
        // Otherwise a client broke off its handshake, which is no reason to stop listening.
        if (/server closed/.test(String(error))) return;
      }
    }
  }

  async #onConnection(native: NativeConnection): Promise<void> {
    const connection = new QuicConnection({
      native,
      direction: "inbound",
      log: this.#init.logger.forComponent("shoal:quic:inbound"),
    });
    try {
      this.#stopping.signal.throwIfAborted();
      this.#connections.add(connection);
      connection.addEventListener("close", () => {
        this.#connections.delete(connection);
      });
      await this.#init.upgrader.upgradeInbound(connection, {
        skipEncryption: true,
        skipProtection: true,
        remotePeer: peerIdFromString(peerIdOf(connection.remoteAddr) ?? ""),
        muxerFactory: new QuicMuxerFactory(native),
        signal: this.#stopping.signal,
      });
    } catch (error) {
      connection.abort(error instanceof Error ? error : new Error("refused"));
    }
  }
}

/** Host and port of `/ip4|ip6|dns…/host/udp/port/…`. */
export function socketAddress(address: Multiaddr): {
  family: 4 | 6;
  host: string;
  port: number;
} {
  const [place, udp] = address.getComponents();
  return {
    family: place?.name === "ip6" ? 6 : 4,
    host: place?.value ?? "",
    port: Number(udp?.value),
  };
}

/** Addresses of this machine that others may reach. Link-local ones need a zone, which an address cannot carry. */
function interfaceAddresses(family: 4 | 6): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((i) => i.family === `IPv${family}` && !isLinkLocalIp(i.address))
    .map((i) => i.address);
}
