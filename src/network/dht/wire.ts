/** Asks one peer, and searches for the peers closest to a key. Turns kad-dht's events into plain answers. */
import type { PeerId, PeerInfo } from "@libp2p/interface";
import type { KadDHT, MessageType, QueryEvent } from "@libp2p/kad-dht";
import type { CID } from "multiformats/cid";
import { abortable } from "../../lib/index.ts";
import { dialReason } from "../failures.ts";
import type { PeerAnswer } from "./outcome.ts";

interface WireMessage {
  type: MessageType;
  key: Uint8Array;
  record?: Uint8Array;
  providers?: { id: Uint8Array; multiaddrs: Uint8Array[] }[];
}

interface SendOptions {
  signal: AbortSignal;
  path: { index: number; queued: number; running: number; total: number };
}

/** The members of kad-dht's class that we use beyond its interface (16.4.5: public members of the class). */
export interface Kad extends KadDHT {
  routingTable: EventTarget & { size: number };
  network: {
    sendRequest(
      to: PeerId,
      message: WireMessage,
      options: SendOptions,
    ): AsyncIterable<QueryEvent>;
    sendMessage(
      to: PeerId,
      message: WireMessage,
      options: SendOptions,
    ): AsyncIterable<QueryEvent>;
  };
  components: {
    connectionManager: { getConnections(peer: PeerId): { status: string }[] };
  };
  cancelReprovide(key: CID): Promise<void>;
}

export interface WireReply {
  record: Uint8Array | undefined;
  providers: PeerInfo[];
}

export type Asked = { reply: WireReply } | { failed: PeerAnswer };

const PATH = Object.freeze({ index: -1, queued: 0, running: 0, total: 0 });

/** Asks `peer`. Never rejects: an error is its answer. */
export async function ask(
  kad: Kad,
  peer: PeerId,
  message: WireMessage,
  signal: AbortSignal,
  how: "request" | "message" = "request",
): Promise<Asked> {
  const failures = new Failures(kad);
  const options = { signal, path: PATH };
  const run = async (): Promise<Asked> => {
    const events =
      how === "request"
        ? kad.network.sendRequest(peer, message, options)
        : kad.network.sendMessage(peer, message, options);
    for await (const event of events) {
      failures.see(event);
      if (event.name === "PEER_RESPONSE")
        return {
          reply: { record: event.record?.value, providers: event.providers },
        };
    }
    return { failed: failures.of(peer, new Error("this host is stopping")) };
  };
  try {
    return await abortable(run(), signal);
  } catch (error) {
    return { failed: failures.of(peer, error, signal.aborted) };
  }
}

export interface Closest {
  peers: PeerId[];
  /** Peers that could not be asked. */
  failed: PeerAnswer[];
}

/** The peers closest to `key`; after `signal` aborts, those that answered until then. */
export async function closest(
  kad: Kad,
  key: Uint8Array,
  signal: AbortSignal,
): Promise<Closest> {
  const failures = new Failures(kad);
  const responded: PeerId[] = [];
  const final: PeerId[] = [];
  const run = async (): Promise<void> => {
    for await (const event of kad.getClosestPeers(key, { signal })) {
      failures.see(event);
      if (event.name === "PEER_RESPONSE") responded.push(event.from);
      if (event.name === "FINAL_PEER") final.push(event.peer.id);
    }
  };
  await abortable(run(), signal).catch(() => {});
  const known = new Set(responded.map(String));
  return {
    peers: final.length > 0 ? final : responded.slice(0, K),
    failed: failures.all(signal.aborted).filter(({ peer }) => !known.has(peer)),
  };
}

/** Kademlia's k: the number of peers that keep a record. kad-dht's default. */
export const K = 20;

/** Distinguishes absent, refusing and silent peers. */
export class Failures {
  /** Peers that were asked and have not answered. */
  readonly #asked = new Set<string>();
  readonly #failed = new Map<string, PeerAnswer>();
  readonly #kad: Kad;

  constructor(kad: Kad) {
    this.#kad = kad;
  }

  see(event: QueryEvent): void {
    if (event.name === "DIAL_PEER") this.#asked.add(event.peer.toString());
    else if (event.name === "PEER_RESPONSE")
      this.#asked.delete(event.from.toString());
    else if (event.name === "QUERY_ERROR") {
      const peer = event.from.toString();
      this.#failed.set(peer, this.of(event.from, event.error));
      this.#asked.delete(peer);
    }
  }

  /** Failed ones, and those that had not answered if it ended early. */
  all(early: boolean): PeerAnswer[] {
    const silent = early ? [...this.#asked] : [];
    return [
      ...this.#failed.values(),
      ...silent.map((peer): PeerAnswer => ({
        peer,
        said: "timed-out",
        reason: "no answer",
      })),
    ];
  }

  of(peer: PeerId, error: unknown, late = false): PeerAnswer {
    const id = peer.toString();
    const known = this.#failed.get(id);
    if (known !== undefined && !late) return known;
    const name = nameOfThrown(error);
    if (late || name === "TimeoutError" || name === "AbortError")
      return { peer: id, said: "timed-out", reason: "no answer" };
    if (name === "UnsupportedProtocolError")
      return { peer: id, said: "refused", reason: "it has no DHT" };
    if (name === "QueryError")
      return { peer: id, said: "invalid", reason: dialReason(error) };
    if (ENDED.has(name) && this.#connected(peer))
      return { peer: id, said: "refused", reason: "it ended the stream" };
    return { peer: id, said: "unreachable", reason: dialReason(error) };
  }

  /** A broken connection ends its streams in the same way as a refusal. */
  #connected(peer: PeerId): boolean {
    return this.#kad.components.connectionManager
      .getConnections(peer)
      .some(({ status }) => status === "open");
  }
}

/** How a stream ends if its reader did not end it. libp2p (3.3.11) also throws its own events. */
const ENDED: ReadonlySet<string> = new Set([
  "StreamResetError",
  "StreamResetEvent",
  "StreamCloseEvent",
  "UnexpectedEOFError",
]);

function nameOfThrown(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.name;
  return thrown instanceof Event ? thrown.constructor.name : "";
}
