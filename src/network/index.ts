/**
 * Peers, connections, streams and requests, over libp2p: QUIC first, TCP if QUIC does not get through. A peer is its Ed25519 public key,
 * proven by each connection's handshake; no message says who sent it.
 *
 * - `Host` is a node in the network. Nothing outside this folder sees libp2p.
 * - A `FrameStream` lives long and carries binary frames in order, with back-pressure: the path of every token.
 * - A request opens a stream for one frame there and one back. `Commands` are JSON requests with names and schemas.
 * - `host.dht` keeps small signed records and who provides what, at whoever is closest to the key.
 * - `Bootstraps` keeps the connections to the peers that one was told of; `LanSearch` finds peers in the local network.
 *
 * Every wait has a deadline; every length from a peer has a bound (defaults.ts); whatever fails is a ShoalError.
 *
 *     const host = await createHost({ keyPath, listen: parseListen("0.0.0.0"), events });
 *     const commands = new Commands(host);
 *     commands.handle("GREET", z.object({ name: z.string().max(80) }), ({ name }) => `hello ${name}`);
 *     host.handleStreams("/shoal/echo/1.0.0", (s) => s.onFrame((f) => s.send(f)), { maxFrameBytes: 1 << 20 });
 *     await host.start();
 *     const { peer } = await host.connect(parseTarget("rendezvous.example"));
 *     await commands.call(peer, "GREET", { name: "Ada" }, z.string());
 */
export * from "./address.ts";
export { type AddressClass, addressClass, plainIp } from "./address-class.ts";
export * from "./bootstrap.ts";
export * from "./commands.ts";
export {
  bootstrapsOf,
  decodeInvitation,
  encodeInvitation,
  INVITATION,
  type Invitation,
  type InvitedPeer,
} from "./invitation.ts";
export {
  LAN,
  lanAddresses,
  type LanPeer,
  lanProblem,
  LanSearch,
  lookOnLan,
} from "./lan.ts";
export { DEFAULTS as NETWORK_DEFAULTS } from "./defaults.ts";
export type {
  Dht,
  DhtProbe,
  DhtState,
  FindOptions,
  ProviderKey,
} from "./dht/dht.ts";
export type {
  DhtLookup,
  DhtOutcome,
  GetOutcome,
  PeerAnswer,
  Provider,
  ProvidersOutcome,
  Said,
  StoreOutcome,
} from "./dht/outcome.ts";
export type { RecordKind } from "./dht/records.ts";
export { selfTestDht } from "./dht/self-test.ts";
export { type DialKind, isStreamError } from "./failures.ts";
export type {
  FrameHandler,
  FrameStream,
  FrameStreamOptions,
} from "./frame-stream.ts";
export type { PeerChange, WaitOptions } from "./connections.ts";
export { isDatabaseOpen } from "./database.ts";
export { createHost } from "./create-host.ts";
export type {
  HandleStreamsOptions,
  Host,
  HostOptions,
  RequestContext,
  RequestHandler,
  RequestLimits,
  RequestOptions,
} from "./host.ts";
export { verify } from "./identity.ts";
export { isPortTaken, listenPort, refuseTakenPorts } from "./ports.ts";
export type { HostMetrics } from "./libp2p.ts";
export { interfaceIps } from "./known-addresses.ts";
export type { OtherWay } from "./other-ways.ts";
export type { Punching, TcpOpen } from "./punching.ts";
export type { Endpoint, UdpSocketName } from "./quic/udp-sockets.ts";
export { PeerQuota } from "./peer-quota.ts";
export type { RelayPassage, RelayPolicy } from "./relay.ts";
export { SEEN_AS, SeenAs } from "./seen-as.ts";
export type { ConnectionInfo } from "./tracked.ts";
export { type Way, WAYS } from "./way.ts";
