/** The DHT on kad-dht. kad-dht searches; storing is done here, peer by peer, so that each answer is known. */
import type { PeerId } from "@libp2p/interface";
import { MessageType } from "@libp2p/kad-dht";
import { peerIdFromString } from "@libp2p/peer-id";
import type { Multiaddr } from "@multiformats/multiaddr";
import type { CID } from "multiformats/cid";
import { ShoalError, type Clock } from "../../lib/index.ts";
import type { WaitOptions } from "../connections.ts";
import { DHT_DEFAULTS } from "../defaults.ts";
import type {
  Dht,
  DhtProbe,
  DhtState,
  FindOptions,
  ProviderKey,
} from "./dht.ts";
import {
  Answers,
  LookupLog,
  type GetOutcome,
  type PeerAnswer,
  type ProvidersOutcome,
  type Said,
  type StoreOutcome,
} from "./outcome.ts";
import {
  type AtPeer,
  cidOf,
  holdersOf,
  nameOf,
  provideAt,
  putAt,
  sameBytes,
  saidOf,
  text,
  utf8,
} from "./at-peer.ts";
import { probeKey, probeRecord } from "./probe.ts";
import type { RecordKinds } from "./records.ts";
import { Republisher } from "./republish.ts";
import { limited, somebody } from "./wait.ts";
import type { DhtStore } from "./store.ts";
import { ask, closest, Failures, K, type Kad } from "./wire.ts";

/** The part of libp2p that the DHT needs. */
export interface DhtNode {
  peerId: PeerId;
  getMultiaddrs(): Multiaddr[];
  getConnections(): { timeline: { open: number } }[];
  services: { dht: Kad };
}

export interface Libp2pDhtOptions {
  node: DhtNode;
  store: DhtStore;
  kinds: RecordKinds;
  clock: Clock;
  random: () => number;
  sign: (data: Uint8Array) => Promise<Uint8Array>;
}

/** Prefixes of the two kinds of repeated records. */
const VALUE = "value ";
const PROVIDED = "provided ";

export class Libp2pDht implements Dht {
  readonly #options: Libp2pDhtOptions;
  readonly #kad: Kad;
  readonly #at: AtPeer & { node: DhtNode };
  readonly #republisher: Republisher;
  readonly #lookups = new LookupLog();
  readonly #stopping = new AbortController();
  readonly #background = new Set<Promise<unknown>>();
  #selfTest: "passed" | "failed" | null = null;

  constructor(options: Libp2pDhtOptions) {
    this.#options = options;
    this.#kad = options.node.services.dht;
    const { node, clock } = options;
    this.#at = { kad: this.#kad, node, clock };
    this.#republisher = new Republisher({
      clock: options.clock,
      random: options.random,
      onGrowth: () => this.#meetNeighbours(),
    });
    this.#kad.routingTable.addEventListener("peer:add", () => {
      this.#republisher.grew();
    });
  }

  start(): void {
    this.#options.store.start();
    this.#republisher.start();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new ShoalError("ABORTED", "stopping"));
    await this.#republisher.stop();
    await Promise.allSettled(this.#background);
  }

  status(): DhtState {
    return {
      peers: this.#kad.routingTable.size,
      records: this.#options.store.recordsOfOthers,
      provided: this.#republisher.count(PROVIDED),
      selfTest: this.#selfTest,
      lookups: this.#lookups.list(),
    };
  }

  noteSelfTest(result: "passed" | "failed"): void {
    this.#selfTest = result;
  }

  async put(
    key: string,
    value: Uint8Array,
    options: WaitOptions = {},
  ): Promise<StoreOutcome> {
    const { kinds, store } = this.#options;
    const kind = await kinds.check(key, value);
    await store.putOwn(key, value);
    this.#republisher.add(VALUE + key, {
      everyMs: kind.lifetimeMs / 3,
      store: async () => {
        const still = await kinds.check(key, value).then(
          () => true,
          () => false,
        );
        if (!still) return undefined;
        await store.putOwn(key, value);
        return (await this.#putAtClosest(key, value, {})).stored.length;
      },
    });
    const outcome = await this.#putAtClosest(key, value, options);
    this.#republisher.stored(VALUE + key, outcome.stored.length);
    return outcome;
  }

  async get(key: string, options: WaitOptions = {}): Promise<GetOutcome> {
    const { kinds, clock } = this.#options;
    kinds.of(key);
    const answers = new Answers(clock);
    const found = new Map<string, Uint8Array>();
    const failures = new Failures(this.#kad);
    await limited(answers, this.#stopping.signal, options, async (signal) => {
      await somebody(this.#at, signal);
      const events = this.#kad.get(utf8(key), { signal });
      for await (const event of events) {
        // kad-dht corrects stale peers before it answers, and throws if one cannot be corrected. Here that is done after the answer.
        if (event.name === "DIAL_PEER" && event.path.index === -1) break;
        failures.see(event);
        if (event.name !== "PEER_RESPONSE") continue;
        const peer = event.from.toString();
        const { record } = event;
        // Its own validator has checked it.
        if (record !== undefined) found.set(peer, record.value);
        answers.add({ peer, said: record === undefined ? "nothing" : "found" });
      }
    });
    for (const answer of failures.all(!answers.complete)) answers.add(answer);
    const values = new Map([...found.values()].map((v) => [text(v), v]));
    const own = await this.#ownRecord(key);
    const candidates = own === undefined ? [] : [own];
    candidates.push(...found.values());
    const value =
      candidates.length === 0
        ? undefined
        : candidates[kinds.best(key, candidates)];
    if (own !== undefined) values.set(text(own), own);
    const from = value === undefined ? [] : holdersOf(value, found);
    if (value !== undefined) this.#repair(key, value, found, own);
    const outcome = answers.outcome("ask");
    this.#lookups.add(`get ${key}`, outcome, from.length, clock.now());
    return { ...outcome, value, from, values: [...values.values()] };
  }

  async provide(
    key: ProviderKey,
    options: WaitOptions = {},
  ): Promise<StoreOutcome> {
    const cid = await cidOf(key);
    this.#republisher.add(PROVIDED + cid.toString(), {
      store: async () =>
        (await this.#provideAtClosest(key, cid, {})).stored.length,
    });
    const outcome = await this.#provideAtClosest(key, cid, options);
    this.#republisher.stored(PROVIDED + cid.toString(), outcome.stored.length);
    return outcome;
  }

  async findProviders(
    key: ProviderKey,
    options: FindOptions = {},
  ): Promise<ProvidersOutcome> {
    const { clock, node } = this.#options;
    const { limit = K } = options;
    const cid = await cidOf(key);
    const answers = new Answers(clock);
    const failures = new Failures(this.#kad);
    const providers = new Map<string, Set<string>>();
    await limited(answers, this.#stopping.signal, options, async (signal) => {
      await somebody(this.#at, signal);
      for await (const event of this.#kad.findProviders(cid, { signal })) {
        failures.see(event);
        if (event.name !== "PEER_RESPONSE") continue;
        for (const { id, multiaddrs } of event.providers) {
          if (id.equals(node.peerId)) continue;
          if (providers.size >= DHT_DEFAULTS.providers) break;
          const known = providers.get(id.toString()) ?? new Set();
          for (const address of multiaddrs) {
            if (known.size >= DHT_DEFAULTS.addressesOfProvider) break;
            known.add(address.toString());
          }
          providers.set(id.toString(), known);
        }
        // What this host keeps itself is not a peer's answer.
        if (!event.from.equals(node.peerId))
          answers.add({
            peer: event.from.toString(),
            said: event.providers.length > 0 ? "found" : "nothing",
          });
        if (providers.size >= limit) break;
      }
    });
    for (const answer of failures.all(!answers.complete)) answers.add(answer);
    const outcome = answers.outcome("ask");
    this.#lookups.add(
      `find providers of ${nameOf(key)}`,
      outcome,
      providers.size,
      clock.now(),
    );
    return {
      ...outcome,
      providers: [...providers].map(([peer, addresses]) => ({
        peer,
        addresses: [...addresses],
      })),
    };
  }

  forget(key: string): void {
    this.#republisher.remove(VALUE + key);
  }

  async unprovide(key: ProviderKey): Promise<void> {
    const cid = await cidOf(key);
    this.#republisher.remove(PROVIDED + cid.toString());
    await this.#kad.cancelReprovide(cid);
  }

  async probe(peer: string, options: WaitOptions = {}): Promise<DhtProbe> {
    const { clock, node, sign } = this.#options;
    const answers = new Answers(clock);
    const id = peerIdFromString(peer);
    const key = probeKey(node.peerId.toString());
    const value = await probeRecord(key, clock.now(), sign);
    const cid = await cidOf(key);
    const said: Record<"put" | "get" | "provide" | "find", Said> = {
      put: "timed-out",
      get: "timed-out",
      provide: "timed-out",
      find: "timed-out",
    };
    await limited(answers, this.#stopping.signal, options, async (signal) => {
      said.put = (await putAt(this.#at, id, key, value, signal)).said;
      const type = MessageType.GET_VALUE;
      const got = await ask(this.#kad, id, { type, key: utf8(key) }, signal);
      said.get = saidOf(got, (record) => sameBytes(record, value));
      const provided = await provideAt(this.#at, id, cid, signal);
      // A peer confirms a provider record by naming the provider.
      said.provide = provided.said;
      said.find = provided.said === "stored" ? "found" : provided.said;
    });
    const passed =
      said.put === "stored" && said.get === "found" && said.find === "found";
    return {
      ...said,
      passed,
      tookMs: answers.outcome("ask").tookMs,
      words: `put ${said.put}, get ${said.get}, provide ${said.provide}, find ${said.find}`,
    };
  }

  // storing

  async #putAtClosest(
    key: string,
    value: Uint8Array,
    options: WaitOptions,
  ): Promise<StoreOutcome> {
    return await this.#atClosest(
      `put ${key}`,
      utf8(key),
      (peer, signal) => putAt(this.#at, peer, key, value, signal),
      options,
    );
  }

  async #provideAtClosest(
    key: ProviderKey,
    cid: CID,
    options: WaitOptions,
  ): Promise<StoreOutcome> {
    return await this.#atClosest(
      `provide ${nameOf(key)}`,
      cid.multihash.bytes,
      (peer, signal) => provideAt(this.#at, peer, cid, signal),
      options,
    );
  }

  async #atClosest(
    what: string,
    key: Uint8Array,
    store: (peer: PeerId, signal: AbortSignal) => Promise<PeerAnswer>,
    options: WaitOptions,
  ): Promise<StoreOutcome> {
    const { clock } = this.#options;
    const { timeoutMs = DHT_DEFAULTS.timeoutMs } = options;
    const answers = new Answers(clock);
    await limited(answers, this.#stopping.signal, options, async (signal) => {
      await somebody(this.#at, signal);
      const searchMs = timeoutMs * DHT_DEFAULTS.searchShare;
      const search = AbortSignal.any([signal, AbortSignal.timeout(searchMs)]);
      const { peers, failed } = await closest(this.#kad, key, search);
      for (const answer of failed) answers.add(answer);
      const left = peers.slice(0, K);
      const worker = async (): Promise<void> => {
        for (let peer = left.shift(); peer !== undefined; peer = left.shift())
          answers.add(await store(peer, signal));
      };
      await Promise.all(
        Array.from({ length: DHT_DEFAULTS.concurrency }, worker),
      );
    });
    const stored = answers.peers("stored");
    const outcome = answers.outcome("store at");
    this.#lookups.add(what, outcome, stored.length, clock.now());
    return { ...outcome, stored };
  }

  /** Sends the newer record to those that have an older one. */
  #repair(
    key: string,
    best: Uint8Array,
    found: ReadonlyMap<string, Uint8Array>,
    own: Uint8Array | undefined,
  ): void {
    const { kinds, store } = this.#options;
    const kind = kinds.of(key);
    const older = (value: Uint8Array): boolean =>
      kind.owner?.(value) === kind.owner?.(best) &&
      kind.seq(value) < kind.seq(best);
    const stale = [...found].filter(([, value]) => older(value));
    const work = async (): Promise<void> => {
      if (own !== undefined && older(own)) await store.putOwn(key, best);
      const signal = AbortSignal.any([
        this.#stopping.signal,
        AbortSignal.timeout(DHT_DEFAULTS.timeoutMs),
      ]);
      for (const [peer] of stale)
        await putAt(this.#at, peerIdFromString(peer), key, best, signal);
    };
    const repairing = work()
      .catch(() => {})
      .finally(() => this.#background.delete(repairing));
    this.#background.add(repairing);
  }

  async #ownRecord(key: string): Promise<Uint8Array | undefined> {
    const { store, kinds } = this.#options;
    const value = await store.record(key).catch(() => undefined);
    if (value === undefined) return undefined;
    return await kinds.check(key, value).then(
      () => value,
      () => undefined,
    );
  }

  // waiting

  /** kad-dht searches for its neighbours once at the start, when it knows nobody, and then every five minutes. */
  async #meetNeighbours(): Promise<void> {
    const signal = AbortSignal.any([
      this.#stopping.signal,
      AbortSignal.timeout(DHT_DEFAULTS.timeoutMs),
    ]);
    const self = this.#options.node.peerId.toMultihash().bytes;
    await closest(this.#kad, self, signal);
  }
}
