/** libp2p configured for Shoal: every setting that differs from its default, and why. */
import { privateKeyFromProtobuf } from "@libp2p/crypto/keys";
import { identify, type Identify } from "@libp2p/identify";
import type {
  Address,
  ConnectionEncrypter,
  CreateListenerOptions,
  Libp2p,
  Listener,
  Transport,
} from "@libp2p/interface";
import { kadDHT, passthroughMapper } from "@libp2p/kad-dht";
import { noise } from "@libp2p/noise";
import { ping, type Ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { tls } from "@libp2p/tls";
import { yamux } from "@libp2p/yamux";
import type { Multiaddr } from "@multiformats/multiaddr";
import { MemoryDatastore } from "datastore-core";
import { createLibp2p, type Libp2pOptions } from "libp2p";
import { Uint8ArrayList } from "uint8arraylist";
import { ShoalError, systemClock, type Clock } from "../lib/index.ts";
import { rankOf, transportOf } from "./address.ts";
import { DEFAULTS, DHT_DEFAULTS } from "./defaults.ts";
import { PROBE_KIND } from "./dht/probe.ts";
import { keyText, RecordKinds, type RecordKind } from "./dht/records.ts";
import { openDatabase } from "./database.ts";
import { DhtStore, type DhtStoreLimits } from "./dht/store.ts";
import type { Kad } from "./dht/wire.ts";
import type { Identity } from "./identity.ts";
import { quic } from "./quic/transport.ts";
import type { NativeQuic } from "./quic/native.ts";
import { UdpSockets } from "./quic/udp-sockets.ts";
import { answering } from "./simultaneous-open.ts";
import { Circuits } from "./circuits.ts";
import { type RelayPolicy, relayServer } from "./relay.ts";
import { bounded } from "./yamux-bounds.ts";

const DHT_PROTOCOL = "/shoal/kad/1.0.0";

/** A type, not an interface, because libp2p needs an index signature. */
type Services = { identify: Identify; ping: Ping; dht: Kad };

export type Node = Libp2p<Services>;

/** Where libp2p reports its metrics, such as @libp2p/prometheus-metrics. */
export type HostMetrics = NonNullable<Libp2pOptions["metrics"]>;

export interface NodeOptions {
  identity: Identity;
  listen: readonly string[];
  announce: readonly string[];
  /** undefined: TCP only. */
  nativeQuic: NativeQuic | undefined;
  datastorePath: string | undefined;
  agentVersion: string;
  recordKinds?: readonly RecordKind[] | undefined;
  dhtLimits?: Partial<DhtStoreLimits> | undefined;
  /** True if it only asks others and keeps nothing for them. */
  dhtClient?: boolean | undefined;
  /** It connects others with each other, as far as this allows. */
  relay?: RelayPolicy | undefined;
  metrics?: HostMetrics | undefined;
  clock?: Clock | undefined;
}

export interface BuiltNode {
  node: Node;
  store: DhtStore;
  kinds: RecordKinds;
  /** Announced too, before all others. */
  proved: Multiaddr[];
  circuits: Circuits;
  /** The errors while listening: libp2p keeps only the text. */
  listenErrors: ShoalError[];
  /** Of the QUIC transport. */
  udpSockets: UdpSockets;
  closeDatastore: () => Promise<void>;
}

/** Not started yet. */
export async function buildNode(options: NodeOptions): Promise<BuiltNode> {
  const { identity, listen, announce, nativeQuic, agentVersion } = options;
  const listenErrors: ShoalError[] = [];
  const udpSockets = new UdpSockets();
  const kinds = new RecordKinds([PROBE_KIND, ...(options.recordKinds ?? [])]);
  const datastore =
    options.datastorePath === undefined
      ? undefined
      : await openDatabase(options.datastorePath);
  const store = new DhtStore({
    inner: datastore ?? new MemoryDatastore(),
    kinds,
    peerId: identity.peerId,
    clock: options.clock ?? systemClock,
    limits: options.dhtLimits,
  });
  await store.open();
  const proved: Multiaddr[] = [];
  const circuits = new Circuits();
  const init: Libp2pOptions<Services> = {
    start: false,
    privateKey: privateKeyFromProtobuf(identity.privateKey),
    nodeInfo: {
      name: "shoal",
      version: agentVersion,
      userAgent: `shoal/${agentVersion}`,
    },
    addresses: {
      listen: [...listen],
      announce: [...announce],
      // Called with each question for its addresses: by this host, the DHT, identify.
      announceFilter: (own) => [...proved, ...own],
    },
    datastore: store,
    ...(options.metrics && { metrics: options.metrics }),
    transports: [
      ...(nativeQuic === undefined
        ? []
        : [
            watched(
              quic({ native: nativeQuic, sockets: udpSockets }),
              listenErrors,
            ),
          ]),
      // Both ends set TCP_NODELAY by default (@libp2p/tcp 11.0.28).
      watched(answering(tcp()), listenErrors),
      circuits.transport,
    ],
    // TLS has 1.2 to 1.4 times noise's throughput and a third less latency; noise is for foreign peers.
    connectionEncrypters: [coalesced(tls()), noise()],
    streamMuxers: [
      bounded(
        yamux({
          streamOptions: {
            maxStreamWindowSize: DEFAULTS.yamuxMaxWindowBytes,
            maxReadBufferLength: DEFAULTS.readBufferBytes,
          },
        }),
      ),
    ],
    connectionManager: {
      // The default order has TCP first. Our dials go through dial.ts; this is for those of the DHT.
      addressSorter: byTransport,
      addressDialTimeout: DEFAULTS.addressDialMs,
      dialTimeout: DEFAULTS.dialMs,
      maxConnections: DEFAULTS.maxConnections,
      inboundConnectionThreshold: DEFAULTS.inboundPerSecond,
      maxIncomingPendingConnections: DEFAULTS.pendingInbound,
    },
    // heartbeat.ts does this work.
    connectionMonitor: { enabled: false },
    peerStore: {
      maxAddressAge: DEFAULTS.addressAgeMs,
      maxPeerAge: DEFAULTS.addressAgeMs,
    },
    services: {
      identify: identify({ protocolPrefix: "shoal" }),
      ping: ping({ protocolPrefix: "shoal" }),
      dht: kadDHT({
        protocol: DHT_PROTOCOL,
        // The default waits for a public address and answers nobody until then.
        clientMode: options.dhtClient ?? false,
        // The default drops private addresses: on a LAN the routing table would stay empty.
        peerInfoMapper: passthroughMapper,
        // Alone in the network, nothing waits for a peer.
        allowQueryWithZeroPeers: true,
        initialQuerySelfInterval: 100,
        networkDialTimeout: {
          minTimeout: DHT_DEFAULTS.messageMinMs,
          maxTimeout: DHT_DEFAULTS.messageMaxMs,
        },
        ...rulesOf(kinds),
      }) as unknown as (components: unknown) => Kad,
      ...(options.relay && { relay: relayServer(options.relay) }),
    },
  };
  const node: Node = await createLibp2p(init);
  return {
    node,
    store,
    kinds,
    proved,
    circuits,
    listenErrors,
    udpSockets,
    closeDatastore: async () => {
      store.close();
      await datastore?.close();
    },
  };
}

/** Validators and selectors for kad-dht. By default it keeps public keys under /pk/, which nobody here needs: refused. */
function rulesOf(kinds: RecordKinds): {
  validators: Record<
    string,
    (key: Uint8Array, value: Uint8Array) => Promise<void>
  >;
  selectors: Record<string, (key: Uint8Array, values: Uint8Array[]) => number>;
} {
  const check = async (key: Uint8Array, value: Uint8Array): Promise<void> => {
    await kinds.check(keyText(key), value);
  };
  const best = (key: Uint8Array, values: Uint8Array[]): number =>
    kinds.best(keyText(key), values);
  const prefixes = kinds.prefixes();
  return {
    validators: Object.fromEntries(
      ["pk", ...prefixes].map((prefix) => [prefix, check]),
    ),
    selectors: Object.fromEntries(prefixes.map((prefix) => [prefix, best])),
  };
}

function byTransport(a: Address, b: Address): -1 | 0 | 1 {
  return Math.sign(
    rankOf(a.multiaddr.toString()) - rankOf(b.multiaddr.toString()),
  ) as -1 | 0 | 1;
}

/** Records why listening on an address failed, with its code. */
function watched<C>(
  factory: (components: C) => Transport,
  errors: ShoalError[],
): (components: C) => Transport {
  return (components) => {
    const transport = factory(components);
    const createListener = transport.createListener.bind(transport);
    transport.createListener = (options: CreateListenerOptions): Listener => {
      const listener = createListener(options);
      const listen = listener.listen.bind(listener);
      listener.listen = async (address: Multiaddr): Promise<void> => {
        try {
          await listen(address);
        } catch (error) {
          errors.push(listenError(address.toString(), error));
          throw error;
        }
      };
      return listener;
    };
    return transport;
  };
}

function listenError(address: string, error: unknown): ShoalError {
  if (error instanceof ShoalError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const [, , host = "", transport = "", port = ""] = address.split("/");
  if (code === "EADDRINUSE") {
    return new ShoalError(
      "PORT_IN_USE",
      `${transport.toUpperCase()} port ${port} of ${host} is in use`,
      { port: Number(port), host, transport: transportOf(address) },
      error,
    );
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new ShoalError(
    "ADDRESS_INVALID",
    `cannot listen on ${address}: ${reason}`,
    { address },
    error,
  );
}

/**
 * @libp2p/tls (3.1.10) writes each part of a message as a separate TLS record, so a frame of header and body passes the whole TLS
 * stack twice. One copy of 16 KiB is cheaper.
 */
function coalesced<C>(
  factory: (components: C) => ConnectionEncrypter,
): (components: C) => ConnectionEncrypter {
  return (components) => {
    const encrypter = factory(components);
    for (const method of ["secureInbound", "secureOutbound"] as const) {
      const secure = encrypter[method].bind(encrypter);
      encrypter[method] = async (connection, options) => {
        const secured = await secure(connection, options);
        const inner = secured.connection as unknown as {
          sendData(data: Uint8ArrayList): unknown;
        };
        const sendData = inner.sendData.bind(inner);
        inner.sendData = (data) =>
          sendData(
            data.byteLength <= DEFAULTS.coalesceBytes * 2
              ? new Uint8ArrayList(data.subarray())
              : data,
          );
        return secured;
      };
    }
    return encrypter;
  };
}
