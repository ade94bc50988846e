/**
 * Finds peers in the local network by mDNS, so that it needs no server. Each cluster has a service name of its own, made of a digest of its
 * name, so clusters in one network do not hear of each other. What is found is a hint: anybody in the network can answer. It is dialled, and
 * the connection proves the peer's key.
 *
 *     const search = new LanSearch({ names: ["friends"], host, onFound: (peer) => …, onProblem: (what) => … });
 *     await search.start(); // asks now and every ten seconds, and answers others
 */
import { createSocket } from "node:dgram";
import { hash } from "node:crypto";
import { getSystemErrorMessage } from "node:util";
import type {
  ComponentLogger,
  Logger,
  PeerDiscovery,
  Startable,
} from "@libp2p/interface";
import { mdns, type MulticastDNSComponents } from "@libp2p/mdns";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import { sleep, withDeadline } from "../lib/index.ts";
import { addressClass, type AddressClass } from "./address-class.ts";
import { parseTarget } from "./address.ts";
import type { Host } from "./host.ts";

export interface LanPeer {
  /** Of the cluster. */
  name: string;
  peerId: string;
  /** Only those of a local network. */
  addresses: readonly string[];
}

export interface LanSearchOptions {
  /** The clusters' names. */
  names: readonly string[];
  /** Whose addresses are told to others that ask; undefined: it only asks. */
  host?: Pick<Host, "peerId" | "addresses"> | undefined;
  /** Called again each time that the peer answers: every ten seconds. */
  onFound: (peer: LanPeer) => void;
  /** Why others are not found, or do not find this machine; each reason once. */
  onProblem: (what: string) => void;
}

export const LAN = Object.freeze({
  /** Interval of questions. Each is answered by all members, so it is not shorter. */
  askMs: 10_000,
  /** Addresses taken of one peer, and told of this one: a machine with several cards has some, each over QUIC and TCP. */
  addresses: 16,
  /** IPv4's group and port of mDNS (RFC 6762, section 3). */
  group: "224.0.0.251",
  port: 5353,
  /** A datagram leaves at once, or the system says why not. */
  sendMs: 2_000,
  /** After the first answer others may come for so long: they take some 20 ms. */
  settleMs: 500,
});

const LOCAL: ReadonlySet<AddressClass> = new Set(["private", "link local"]);

/** Of `addresses` those that a machine in the same local network may dial: neither loopback nor public ones. */
export function lanAddresses(addresses: readonly string[]): string[] {
  return addresses
    .filter((address) => LOCAL.has(addressClass(address)))
    .slice(0, LAN.addresses);
}

/** The service that a cluster's members ask for: RFC 6763 allows 15 characters after the underscore. */
export function lanService(cluster: string): string {
  return `_shoal-${hash("sha256", cluster, "hex").slice(0, 9)}._udp.local`;
}

export class LanSearch {
  readonly #options: LanSearchOptions;
  readonly #searches: (PeerDiscovery & Startable)[];
  readonly #told = new Set<string>();

  constructor(options: LanSearchOptions) {
    this.#options = options;
    this.#searches = options.names.map((name) => this.#searchFor(name));
  }

  async start(): Promise<void> {
    const problem = await lanProblem();
    if (problem !== undefined) this.#tell(problem);
    for (const search of this.#searches) await search.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#searches.map(async (search) => search.stop()));
  }

  #searchFor(name: string): PeerDiscovery & Startable {
    const { host } = this.#options;
    const make = mdns({
      serviceTag: lanService(name),
      interval: LAN.askMs,
      broadcast: host !== undefined,
    });
    const addresses = (): Multiaddr[] =>
      lanAddresses(host?.addresses() ?? []).map((one) => multiaddr(one));
    const search = make({
      // All that it uses of them (@libp2p/mdns 12).
      addressManager: { getAddresses: addresses },
      logger: this.#logger(),
    } as unknown as MulticastDNSComponents) as PeerDiscovery & Startable;
    search.addEventListener("peer", ({ detail: { id, multiaddrs } }) => {
      const peerId = id.toString();
      const found = multiaddrs.map((one) => one.toString()).filter(isDialled);
      const local = lanAddresses(found);
      if (peerId === host?.peerId || local.length === 0) return;
      this.#options.onFound({ name, peerId, addresses: local });
    });
    return search;
  }

  /** It logs what goes wrong and nothing else is told; what others send malformed is no problem of this machine's. */
  #logger(): ComponentLogger {
    const log: Logger = Object.assign(() => {}, {
      enabled: false,
      trace: () => {},
      error: (_: unknown, error: unknown) => {
        if (error instanceof Error && "syscall" in error)
          this.#tell(systemReason(error));
      },
      newScope: () => log,
    });
    return { forComponent: () => log };
  }

  #tell(what: string): void {
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#options.onProblem(what);
  }
}

/** Why this machine cannot ask its local network; undefined if it can. */
export async function lanProblem(): Promise<string | undefined> {
  // A question about nothing, which nobody answers: twelve bytes of header.
  const nothing = new Uint8Array(12);
  const socket = createSocket("udp4");
  try {
    await withDeadline(LAN.sendMs, "a datagram to the local network", () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      socket.once("error", reject);
      socket.send(nothing, LAN.port, LAN.group, (error) =>
        error === null ? resolve() : reject(error),
      );
      return promise;
    });
    return undefined;
  } catch (error) {
    return systemReason(error);
  } finally {
    socket.close();
  }
}

/** Asks for a cluster's members for so long, and for a moment after the first answer. One of each peer. */
export async function lookOnLan(
  cluster: string,
  { waitMs, signal }: { waitMs: number; signal: AbortSignal },
): Promise<{ found: LanPeer[]; problems: string[] }> {
  const found = new Map<string, LanPeer>();
  const problems: string[] = [];
  const first = Promise.withResolvers<void>();
  const search = new LanSearch({
    names: [cluster],
    onFound: (peer) => {
      found.set(peer.peerId, peer);
      first.resolve();
    },
    onProblem: (what) => problems.push(what),
  });
  await search.start();
  const over = new AbortController();
  try {
    const late = AbortSignal.any([signal, over.signal]);
    await Promise.race([first.promise, sleep(waitMs, late)]);
    if (found.size > 0) await sleep(LAN.settleMs, signal);
    return { found: [...found.values()], problems };
  } finally {
    over.abort();
    await search.stop();
  }
}

function isDialled(address: string): boolean {
  try {
    parseTarget(address);
    return true;
  } catch {
    return false;
  }
}

function systemReason(error: unknown): string {
  const { errno, syscall, code, message } = error as NodeJS.ErrnoException;
  if (errno === undefined) return message;
  return `${syscall} ${LAN.group}:${LAN.port}: ${getSystemErrorMessage(errno)} (${code})`;
}
