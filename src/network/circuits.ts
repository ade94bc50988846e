/**
 * The other side of circuit relay v2: this host is reached through relays, and reaches others through theirs. libp2p's transport (4.2.13)
 * does the work. Three things of it are not used: it never searches for relays by itself (in a small swarm that search never ends), it
 * announces no addresses (it would announce all of the relay's, private ones too), and it does not redial them (bootstrap.ts does).
 */
import {
  circuitRelayTransport,
  type CircuitRelayTransportComponents,
} from "@libp2p/circuit-relay-v2";
import type { Connection, PeerId, Transport } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import { ipOf, rankOf } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";
import { relayRefused } from "./failures.ts";

/** Marks a peer that libp2p redials by itself. */
const KEEP_ALIVE_TAG = "keep-alive-circuit-relay";

/** A place at a relay, and the connection with it that it depends on. */
interface Place {
  relay: PeerId;
  details: {
    connection: string;
    /** The relay's own addresses, as it says. */
    reservation: { addrs: Uint8Array[] };
  };
}

/** What of libp2p's transport is used; its class is not exported. */
interface CircuitTransport extends Transport {
  reservationStore: {
    /** Renews it before it expires. */
    addRelay(peer: PeerId, type: "configured"): Promise<Place>;
    addEventListener(
      type: "relay:created-reservation" | "relay:removed",
      listener: (event: { detail: Place }) => void,
    ): void;
    /** Peers that could not be dialled or were no relays, for ever: a relay that was started late would never be used. */
    relayFilter: {
      has(item: Uint8Array): boolean;
      add(item: Uint8Array): void;
    };
  };
}

/** Nothing is new to it: so no search begins. */
const KNOWS_ALL = { has: () => true, add: () => {}, remove: () => {} };

export class Circuits {
  #transport: CircuitTransport | undefined;
  #components: CircuitRelayTransportComponents | undefined;
  /** By the relay's peer id. */
  readonly #places = new Map<string, Place["details"]>();
  readonly #listeners = new Set<() => void>();

  /** For libp2p's list of transports. */
  readonly transport = (
    components: CircuitRelayTransportComponents,
  ): Transport => {
    const make = circuitRelayTransport({
      discoveryFilter: KNOWS_ALL,
      reservationCompletionTimeout: DEFAULTS.relayHopMs,
      maxInboundStopStreams: DEFAULTS.relayStreams,
      maxOutboundStopStreams: DEFAULTS.relayStreams,
    });
    const transport = make(components) as CircuitTransport;
    const store = transport.reservationStore;
    store.relayFilter = { has: () => false, add: () => {} };
    store.addEventListener("relay:created-reservation", ({ detail }) => {
      this.#places.set(detail.relay.toString(), detail.details);
      this.#tell();
    });
    store.addEventListener("relay:removed", ({ detail }) => {
      if (this.#places.delete(detail.relay.toString())) this.#tell();
    });
    this.#components = components;
    this.#transport = transport;
    return transport;
  };

  /**
   * From now on others reach this host through the peer, with which it is connected, for as long as that connection lasts. Rejects with
   * RELAY_LIMIT, PROTOCOL_UNSUPPORTED or STREAM_CLOSED.
   */
  async reserve(peer: string): Promise<void> {
    const relay = peerIdFromString(peer);
    try {
      await this.#transport?.reservationStore.addRelay(relay, "configured");
    } catch (error) {
      throw relayRefused(peer, error);
    }
    const tags = { [KEEP_ALIVE_TAG]: undefined };
    await this.#components?.peerStore.merge(relay, { tags });
  }

  /** Where this host is reached through others. */
  addresses(self: string): string[] {
    return this.#open().map(({ place, connection }) => {
      const address = dialable(place, connection);
      return `${address}/p2p-circuit/p2p/${self}`;
    });
  }

  /** Peers through which it is reached. */
  relays(): string[] {
    return this.#open().map(({ connection }) =>
      connection.remotePeer.toString(),
    );
  }

  /** Called after each change of them. Returns the function that ends the subscription. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #open(): { place: Place["details"]; connection: Connection }[] {
    const { connectionManager } = this.#components ?? {};
    const all = connectionManager?.getConnections() ?? [];
    return [...this.#places.values()].flatMap((place) => {
      const connection = all.find(({ id }) => id === place.connection);
      return connection === undefined ? [] : [{ place, connection }];
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/**
 * Where others dial the relay. On a connection that it opened itself it has a port for that one only: then what it says of itself at the same
 * IP, QUIC first.
 */
function dialable(
  { reservation }: Place["details"],
  { remoteAddr, direction }: Connection,
): string {
  const seen = remoteAddr.toString();
  if (direction === "outbound") return seen;
  const ip = ipOf(seen);
  const told = reservation.addrs
    .map((bytes) => multiaddr(bytes).toString())
    .filter((address) => address !== seen && ipOf(address) === ip);
  return told.toSorted((a, b) => rankOf(a) - rankOf(b))[0] ?? seen;
}
