/**
 * Finds out where this machine is reached, and announces it: asks each peer through which it joined, again when the network changes, when
 * somebody knows of another port that may lead here (a router's), and now and then.
 */
import {
  type Clock,
  type EventSink,
  ShoalError,
  steadyClock,
} from "../lib/index.ts";
import {
  type Commands,
  type Host,
  interfaceIps,
  type Way,
} from "../network/index.ts";
import {
  DialBacks,
  isNoAnswer,
  isWorthAsking,
  type Reached,
} from "./dial-back.ts";
import { addressAt, distinct, keyOf, type Port, portsOf } from "./ports.ts";

export const REACH = Object.freeze({
  /** A router may forget, restart, or get another address. */
  everyMs: 5 * 60_000,
  /** Peers asked; a cluster has one rendezvous or a few. */
  peers: 4,
  /** After a change: addresses come one after the other. */
  settleMs: 200,
});

export interface ReachState {
  /** IPs at which others see this machine. */
  seenAs: readonly string[];
  /** Multiaddrs, without /p2p/, at which it was dialled from outside. */
  proved: readonly string[];
  /** Undefined where nobody tried: on a LAN, or before an answer. */
  isReached: boolean | undefined;
}

export interface OwnAddressesOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  clock?: Clock | undefined;
  /** Of this machine's interfaces. */
  interfaces?: (() => string[]) | undefined;
}

const UNKNOWN: ReachState = { seenAs: [], proved: [], isReached: undefined };

export class OwnAddresses {
  readonly #options: OwnAddressesOptions;
  readonly #clock: Clock;
  readonly #interfaces: () => string[];
  readonly #dialBacks: DialBacks;
  /** Ports that may lead here, by who says so. */
  readonly #suggested = new Map<string, readonly Port[]>();
  /** What peers found. */
  readonly #found = new Map<string, Reached>();
  /** Peers that are asked, the latest last. */
  readonly #through = new Set<string>();
  readonly #asking = new Map<string, Promise<void>>();
  readonly #listeners = new Set<() => void>();
  readonly #stopping = new AbortController();
  #state = UNKNOWN;
  #known = "";
  #cancel: (() => void) | undefined;
  #unsubscribe: (() => void)[] = [];

  constructor(options: OwnAddressesOptions) {
    this.#options = options;
    this.#clock = options.clock ?? steadyClock;
    this.#interfaces = options.interfaces ?? interfaceIps;
    this.#dialBacks = new DialBacks(options);
  }

  get state(): ReachState {
    return this.#state;
  }

  /** Called after `state` changed. Returns the function that ends the subscription. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    const { host } = this.#options;
    this.#known = this.#ownIps();
    this.#unsubscribe = [
      host.onAddresses(() => {
        const known = this.#ownIps();
        if (known === this.#known) return;
        this.#known = known;
        // What was proved was proved of another place.
        this.#found.clear();
        this.#tell();
        this.#askSoon(REACH.settleMs);
      }),
      host.onPeer(({ type, peer }) => {
        if (type === "disconnected") this.#asking.delete(peer);
      }),
    ];
    this.#askSoon(REACH.everyMs);
  }

  stop(): void {
    this.#stopping.abort(new ShoalError("ABORTED", "stopping"));
    this.#cancel?.();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#listeners.clear();
  }

  /** This node joined through a peer, which is asked from now on. Never rejects. */
  async joined(peer: string): Promise<void> {
    this.#found.delete(peer);
    await this.#ask(peer);
  }

  /** Ports that may lead here, instead of those that the same source named before. They are tried, and announced if they do. */
  suggest(source: string, ports: readonly Port[]): void {
    const before = this.#suggested.get(source) ?? [];
    if (ports.map(keyOf).join() === before.map(keyOf).join()) return;
    this.#suggested.set(source, [...ports]);
    this.#askSoon(REACH.settleMs);
  }

  #ownIps(): string {
    return [...new Set(this.#interfaces())].sort().join();
  }

  #askSoon(waitMs: number): void {
    this.#cancel?.();
    this.#cancel = this.#clock.after(waitMs, () => {
      this.#askSoon(REACH.everyMs);
      const open = this.#options.host.connections().map(({ peer }) => peer);
      for (const peer of this.#joinedThrough(open)) void this.#ask(peer);
    });
  }

  #joinedThrough(open: readonly string[]): string[] {
    return [...this.#through].filter((peer) => open.includes(peer));
  }

  /** One question to a peer at a time; another waits for its end, because it may know more. */
  #ask(peer: string): Promise<void> {
    this.#through.delete(peer);
    this.#through.add(peer);
    const [oldest] = this.#through;
    if (this.#through.size > REACH.peers && oldest !== undefined)
      this.#through.delete(oldest);
    const before = this.#asking.get(peer) ?? Promise.resolve();
    const next = before.then(() => this.#askNow(peer));
    this.#asking.set(peer, next);
    return next;
  }

  async #askNow(peer: string): Promise<void> {
    const { host, events } = this.#options;
    const { signal } = this.#stopping;
    if (signal.aborted) return;
    const known = this.#known;
    try {
      let found = await this.#dialBacks.ask(peer, [], signal);
      const { seenAs } = found;
      if (seenAs !== undefined && isWorthAsking(seenAs, this.#interfaces())) {
        const ports = distinct([
          ...portsOf(host.addresses()),
          ...[...this.#suggested.values()].flat(),
        ]);
        if (ports.length > 0)
          found = await this.#dialBacks.ask(peer, ports, signal);
      }
      if (known !== this.#known) return; // of another place
      this.#found.set(peer, found);
      this.#tell();
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      const what = `where this machine is reached is not known: ${message}`;
      if (isNoAnswer(error)) events.debug("CONNECT", what, { peer, code });
      else events.warn("CONNECT", what, { peer, code });
    }
  }

  #tell(): void {
    const before = this.#state;
    this.#state = stateOf([...this.#found.values()]);
    if (JSON.stringify(before) === JSON.stringify(this.#state)) return;
    const { host } = this.#options;
    const { seenAs, proved } = this.#state;
    const own = this.#interfaces();
    const outer = proved.filter((address) => !own.includes(ipIn(address)));
    host.setInboundWay(this.#wayIn(outer));
    host.announce(outer, seenAs);
    this.#log();
    for (const listener of this.#listeners) listener();
  }

  /** Inbound connections came through a mapped port if no other leads here. */
  #wayIn(outer: readonly string[]): Way {
    const ports = this.#suggested.get(PORT_MAPPING) ?? [];
    const mapped = new Set(ports.map(keyOf));
    const all = outer.flatMap((address) => portsOf([address]));
    const isMapped =
      all.length > 0 && all.every((port) => mapped.has(keyOf(port)));
    return isMapped ? "port mapped" : "direct";
  }

  #log(): void {
    const { events } = this.#options;
    const { seenAs, proved, isReached } = this.#state;
    if (isReached === undefined) return;
    const how = { seenAs: [...seenAs], reachedAt: [...proved] };
    events.info(
      "CONNECT",
      isReached
        ? "others reach this machine from outside"
        : "others do not reach this machine from outside: a router or a firewall is between",
      how,
    );
  }
}

/** The source of ports that a router was asked to map. */
export const PORT_MAPPING = "port mapping";

function stateOf(found: readonly Reached[]): ReachState {
  const seen = found.filter(({ seenAs }) => seenAs !== undefined);
  const proved = seen.flatMap(({ seenAs = "", ports }) =>
    ports.map((port) => addressAt(seenAs, port)),
  );
  return {
    seenAs: [...new Set(seen.map(({ seenAs = "" }) => seenAs))].sort(),
    proved: [...new Set(proved)].sort(),
    isReached: seen.some(({ isTried }) => isTried)
      ? proved.length > 0
      : undefined,
  };
}

function ipIn(address: string): string {
  return address.split("/")[2] ?? "";
}
