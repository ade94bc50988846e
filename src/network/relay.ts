/**
 * The relay's side of circuit relay v2 (https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md): two peers that cannot reach each
 * other are connected through this host, encrypted from end to end. libp2p's server keeps the reservations. Who gets one, whom it connects,
 * and how fast bytes pass is decided by a policy, not by libp2p's single limit for all; and bytes are passed on by `splice`, because
 * libp2p's pipe (@libp2p/utils 7.4.1) queues without bound what a slow reader does not take.
 */
import {
  circuitRelayServer,
  type CircuitRelayServerComponents,
  type CircuitRelayService,
} from "@libp2p/circuit-relay-v2";
import type {
  AbortOptions,
  Connection,
  Libp2pEvents,
  PeerId,
  Stream,
  TypedEventTarget,
} from "@libp2p/interface";
import { peerIdFromMultihash } from "@libp2p/peer-id";
import * as Digest from "multiformats/hashes/digest";
import { isShoalError, ShoalError } from "../lib/index.ts";
import { transportOf } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";

/** What a relay allows. Each refusal is thrown: RELAY_LIMIT, which names the limit. */
export interface RelayPolicy {
  /** The peer wants to be reached through this host. */
  reserve(peer: string): void;
  /** It is not any more. */
  released(peer: string): void;
  /** `from` wants to be connected with `to`. `end` is called if they used up what they may. */
  connect(
    from: string,
    to: string,
    end: (error: ShoalError) => void,
  ): RelayPassage;
}

/** What two peers may send each other through the relay. */
export interface RelayPassage {
  /** So many bytes of `from` were passed on. Returns for how long nothing more of it is to be, in ms. */
  passed(from: string, bytes: number): number;
  close(): void;
}

/** As the specification numbers them. */
const STATUS = Object.freeze({
  ok: 100,
  reservationRefused: 200,
  limitExceeded: 201,
  denied: 202,
  failed: 203,
  noReservation: 204,
  malformed: 400,
});

/** A HopMessage {type: STATUS, status}: all that is said here, and the package does not export its own encoding. */
const STATUS_MESSAGE = {
  encode: (status: number): Uint8Array =>
    Uint8Array.of(0x08, 2, 0x28, ...varint(status)),
  decode: (): number => 0,
};

interface Hop {
  connection: Connection;
  request: { peer?: { id: Uint8Array } };
  stream: {
    pb(message: typeof STATUS_MESSAGE): {
      write(status: number, options: AbortOptions): Promise<unknown>;
    };
    unwrap(): Stream;
  };
}

/** What of libp2p's server is used or replaced (4.2.13); its class is not exported. */
interface RelayServer extends CircuitRelayService {
  handleReserve(hop: Hop, options: AbortOptions): Promise<void>;
  handleConnect(hop: Hop, options: AbortOptions): Promise<void>;
  /** Asks the target whether it takes a connection. */
  stopHop(
    stop: {
      connection: Connection;
      request: {
        type: "CONNECT";
        peer: { id: Uint8Array; addrs: Uint8Array[] };
      };
    },
    options: AbortOptions,
  ): Promise<Stream | undefined>;
}

/** libp2p has it for every service; the package does not ask for it. */
type Components = CircuitRelayServerComponents & {
  events: TypedEventTarget<Libp2pEvents>;
};

export function relayServer(
  policy: RelayPolicy,
): (components: Components) => CircuitRelayService {
  const make = circuitRelayServer({
    hopTimeout: DEFAULTS.relayHopMs,
    maxInboundHopStreams: DEFAULTS.relayStreams,
    maxOutboundStopStreams: DEFAULTS.relayStreams,
    reservations: {
      maxReservations: Infinity, // the policy counts
      applyDefaultLimit: false,
    },
  });
  return (components: Components) => {
    const server = make(components) as unknown as RelayServer;
    const reserve = server.handleReserve.bind(server);
    server.handleReserve = async (hop, options) => {
      if (!isRelayed(hop.connection)) {
        const { remotePeer } = hop.connection;
        const isNew = !server.reservations.has(remotePeer);
        if (isNew && !allows(() => policy.reserve(remotePeer.toString())))
          return await say(hop, STATUS.reservationRefused, options);
      }
      await reserve(hop, options);
    };
    server.handleConnect = (hop, options) =>
      connect(server, components, policy, hop, options);
    components.events.addEventListener("peer:disconnect", ({ detail }) => {
      // Its timer would end the peer's next one.
      server.reservations.get(detail)?.signal.clear();
      server.reservations.delete(detail);
      policy.released(detail.toString());
    });
    return server;
  };
}

async function connect(
  server: RelayServer,
  { connectionManager }: CircuitRelayServerComponents,
  policy: RelayPolicy,
  hop: Hop,
  options: AbortOptions,
): Promise<void> {
  const { remotePeer } = hop.connection;
  if (isRelayed(hop.connection)) return await say(hop, STATUS.denied, options);
  const target = targetOf(hop);
  if (target === undefined) return await say(hop, STATUS.malformed, options);
  const there = server.reservations.has(target)
    ? newest(connectionManager.getConnections(target))
    : undefined;
  if (there === undefined) return await say(hop, STATUS.noReservation, options);
  const [from, to] = [remotePeer.toString(), target.toString()];
  const ended = Promise.withResolvers<ShoalError>();
  let passage: RelayPassage | undefined;
  const isAllowed = allows(() => {
    passage = policy.connect(from, to, ended.resolve);
  });
  if (!isAllowed || passage === undefined)
    return await say(hop, STATUS.limitExceeded, options);
  let out: Stream | undefined;
  try {
    const peer = { id: remotePeer.toMultihash().bytes, addrs: [] };
    const request = { type: "CONNECT" as const, peer };
    out = await server.stopHop({ connection: there, request }, options);
    if (out === undefined) {
      passage.close();
      return await say(hop, STATUS.failed, options);
    }
    await say(hop, STATUS.ok, options);
    splice(
      { peer: from, stream: hop.stream.unwrap() },
      { peer: to, stream: out },
      passage,
      ended.promise,
    );
  } catch (error) {
    passage.close();
    out?.abort(ShoalError.from(error));
    throw error;
  }
}

interface End {
  peer: string;
  stream: Stream;
}

/** Passes on what each of the two sends, until both have ended, one fails, or what they may is used up. */
function splice(
  one: End,
  other: End,
  passage: RelayPassage,
  ended: Promise<ShoalError>,
): void {
  const abort = (error: Error): void => {
    one.stream.abort(error);
    other.stream.abort(error);
  };
  let open = 2;
  const onClose = (error: Error | undefined): void => {
    if (error !== undefined) abort(error);
    if (--open === 0) passage.close();
  };
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const pass = (bytes: number): number => passage.passed(from.peer, bytes);
    passOn(from.stream, to.stream, pass);
    from.stream.addEventListener("close", ({ error }) => onClose(error));
  }
  void ended.then(abort);
}

/** Reads no faster than the other end takes it and `pass` allows: what is under way waits in the sender's window. */
function passOn(
  from: Stream,
  to: Stream,
  pass: (bytes: number) => number,
): void {
  let pause: NodeJS.Timeout | undefined;
  const goOn = (): void => {
    if (pause !== undefined || from.readStatus !== "paused") return;
    if (to.writeBufferLength <= DEFAULTS.relayQueuedBytes / 2) from.resume();
  };
  from.addEventListener("message", ({ data }) => {
    if (to.writeStatus !== "writable") return;
    to.send(data);
    const waitMs = pass(data.byteLength);
    if (waitMs > 0 && pause === undefined)
      pause = setTimeout(() => {
        pause = undefined;
        goOn();
      }, waitMs);
    const isFull = to.writeBufferLength > DEFAULTS.relayQueuedBytes;
    if ((isFull || pause !== undefined) && from.readStatus === "readable")
      from.pause();
  });
  to.addEventListener("drain", goOn);
  from.addEventListener("end", () => {
    const signal = AbortSignal.timeout(DEFAULTS.writeDeadlineMs);
    to.close({ signal }).catch((error: Error) => to.abort(error));
  });
  from.addEventListener("close", () => clearTimeout(pause));
}

/** False if the policy refuses. */
function allows(ask: () => void): boolean {
  try {
    ask();
    return true;
  } catch (error) {
    if (isShoalError(error, "RELAY_LIMIT")) return false;
    throw error;
  }
}

async function say(
  { stream }: Hop,
  status: number,
  options: AbortOptions,
): Promise<void> {
  await stream.pb(STATUS_MESSAGE).write(status, options);
}

/** Undefined if it names none. */
function targetOf({ request }: Hop): PeerId | undefined {
  try {
    const { id } = request.peer ?? {};
    return id && peerIdFromMultihash(Digest.decode(id));
  } catch {
    return undefined;
  }
}

/** An older one may have died without anybody's knowing yet. */
function newest(connections: readonly Connection[]): Connection | undefined {
  return connections
    .filter((one) => one.status === "open" && !isRelayed(one))
    .toSorted((a, b) => b.timeline.open - a.timeline.open)[0];
}

function isRelayed({ remoteAddr }: Connection): boolean {
  return transportOf(remoteAddr.toString()) === "relayed";
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, value >> 7];
}
