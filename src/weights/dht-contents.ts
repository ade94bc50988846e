/**
 * Contents in the DHT: a complete content is announced under its root, and the providers of a root are asked for the endpoint of their
 * transfers. So contents are found without a rendezvous. Only what peers confirmed is reported. Alone in the network there is nobody to
 * store at, and it is tried again.
 */
import { type EventSink, ShoalError, sleep } from "../lib/index.ts";
import type { Commands, Dht, Host } from "../network/index.ts";
import {
  type Endpoint,
  HOLDERS_PER_ANSWER,
  isWhole,
  type Remembered,
  WHO_HAS,
} from "../catalog/index.ts";
import type { Content, Root } from "../store/index.ts";

/** The part of a host with which contents are found and announced. */
export interface ContentsHost extends Pick<Host, "connections"> {
  readonly dht: Pick<Dht, "findProviders" | "provide" | "unprovide">;
}

export interface DhtContentsOptions {
  host: ContentsHost;
  commands: Commands;
  events: EventSink;
  cluster: string;
  list: () => readonly Content[];
  endpoint: () => Endpoint;
  /** What a rendezvous said about others' contents. */
  remembered?: (root: Root) => Remembered | undefined;
  random?: () => number;
}

/** Asks these whether they have it. Returns how many holders they named. */
type Ask = (
  asked: readonly { peer: string; addresses: readonly string[] }[],
) => Promise<number>;

export const DHT_CONTENTS = Object.freeze({
  /** Contents announced by one member, each repeated every few hours. A model has about a hundred parts. */
  provided: 1_024,
  /** A search and a store take some round trips each. */
  atOnce: 2,
  /** If nobody confirmed, such as alone in the network, it tries again after this time. */
  againMs: 15_000,
  /** Providers of one content, and as many connected peers, that are asked for the endpoint of their transfers. */
  asked: 8,
  askMs: 5_000,
});

export class DhtContents {
  readonly #options: DhtContentsOptions;
  /** Peers that confirmed. */
  readonly #provided = new Map<Root, number>();
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;
  #isFull = false;

  constructor(options: DhtContentsOptions) {
    this.#options = options;
  }

  /** Answers WHO_HAS, and announces this member's own contents as they are completed. */
  start(): void {
    const { commands, cluster } = this.#options;
    commands.handle(WHO_HAS.name, WHO_HAS.params, (asked) => {
      const { sizeBytes, name, holders } =
        asked.cluster === cluster && "root" in asked.of
          ? this.#holdersOf(asked.of.root)
          : {};
      return {
        sizeBytes: sizeBytes ?? null,
        name: name?.slice(0, 256) ?? null,
        holders: holders ?? [],
      };
    });
    this.#running = this.#run();
  }

  /** This member, and other holders by what a rendezvous said; it may be gone by now. */
  #holdersOf(root: Root): {
    sizeBytes?: number;
    name?: string;
    holders?: (Endpoint & { whole: boolean })[];
  } {
    const { list, endpoint, remembered } = this.#options;
    const content = list().find(({ metadata }) => metadata.root === root);
    const told = remembered?.(root);
    if (content === undefined && told === undefined) return {};
    const own =
      content === undefined ? [] : [{ ...endpoint(), whole: isWhole(content) }];
    // It is unknown whether they have all of it; requests for pieces will show.
    const others = (told?.holders ?? []).map(({ peer, addresses }) => ({
      peer,
      addresses,
      whole: false,
    }));
    return {
      sizeBytes: content?.metadata.sizeBytes ?? told?.sizeBytes ?? 0,
      name: content?.name ?? told?.name ?? "",
      holders: [...own, ...others].slice(0, HOLDERS_PER_ANSWER),
    };
  }

  /** The contents changed. */
  changed(): void {
    this.#wake?.();
  }

  /**
   * The endpoints of this content's holders, reported as they are found: those named by the DHT's records, and connected peers, because no
   * remaining peer may have a record. Neither way waits for the other. Never rejects.
   */
  async find(
    root: Root,
    signal: AbortSignal,
    found: (holders: readonly Endpoint[]) => void,
  ): Promise<void> {
    const until = AbortSignal.any([signal, this.#stopping.signal]);
    const answers = new Map<string, Promise<readonly Endpoint[]>>();
    const ask: Ask = async (asked) => {
      const holders = await Promise.all(
        asked.map(async ({ peer, addresses }) => {
          // Once, whichever way leads to it.
          const answer =
            answers.get(peer) ?? this.#whoHas(root, peer, addresses, until);
          answers.set(peer, answer);
          const here = await answer;
          if (here.length > 0 && !until.aborted) found(here);
          return here;
        }),
      );
      return holders.flat().length;
    };
    await Promise.all([
      this.#findByRecords(root, until, ask),
      this.#findByAsking(root, until, ask),
    ]);
  }

  async #findByRecords(
    root: Root,
    signal: AbortSignal,
    ask: Ask,
  ): Promise<void> {
    const { host, events } = this.#options;
    try {
      const { providers, words } = await host.dht.findProviders(bytesOf(root), {
        limit: DHT_CONTENTS.asked,
        signal,
      });
      const holders = await ask(providers.slice(0, DHT_CONTENTS.asked));
      if (signal.aborted) return;
      events.debug("DHT", `providers of ${root.slice(0, 12)}: ${words}`, {
        root,
        providers: providers.length,
        holders,
      });
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = ShoalError.from(error);
      events.debug("DHT", `the search for a content failed: ${message}`, {
        code,
        root,
      });
    }
  }

  async #findByAsking(
    root: Root,
    signal: AbortSignal,
    ask: Ask,
  ): Promise<void> {
    const { host, events, random = Math.random } = this.#options;
    const peers = [...new Set(host.connections().map(({ peer }) => peer))];
    if (peers.length === 0) return;
    // Different ones each time: of many peers any may have it.
    const asked = peers
      .map((peer) => ({ peer, addresses: [], order: random() }))
      .toSorted((a, b) => a.order - b.order)
      .slice(0, DHT_CONTENTS.asked);
    const holders = await ask(asked);
    if (signal.aborted) return;
    const what = `WHO_HAS ${root.slice(0, 12)}: ${asked.length} connected peers named ${holders} holders`;
    events.debug("MSG", what, { root, asked: asked.length, holders });
  }

  /** The holders that one peer names; empty if it has nothing, does not answer, or is not a member. */
  async #whoHas(
    root: Root,
    peerId: string,
    addresses: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly Endpoint[]> {
    const { commands, cluster } = this.#options;
    try {
      const { holders } = await commands.call(
        { peerId, addresses },
        WHO_HAS.name,
        { cluster, of: { root } },
        WHO_HAS.result,
        { timeoutMs: DHT_CONTENTS.askMs, signal },
      );
      return holders;
    } catch {
      return []; // gone, or another program's peer: others are asked too
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new ShoalError("ABORTED", "the member stops"));
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const isDone = await this.#provideAll();
      await (isDone
        ? woken
        : sleep(DHT_CONTENTS.againMs, signal).catch(() => {}));
    }
  }

  /** True if everything here is confirmed. */
  async #provideAll(): Promise<boolean> {
    const { list, host, events } = this.#options;
    const { signal } = this.#stopping;
    const here = list().filter((content) => isWhole(content));
    const roots = new Set(here.map(({ metadata }) => metadata.root));
    for (const root of this.#provided.keys()) {
      if (roots.has(root)) continue;
      this.#provided.delete(root);
      await host.dht.unprovide(bytesOf(root)).catch(() => {});
    }
    const missing = here.filter(
      ({ metadata }) => !this.#provided.has(metadata.root),
    );
    const room = DHT_CONTENTS.provided - this.#provided.size;
    if (missing.length > room && !this.#isFull) {
      this.#isFull = true;
      events.warn(
        "DHT",
        `no more than ${DHT_CONTENTS.provided} contents are announced in the DHT`,
        {
          left: missing.length - room,
        },
      );
    }
    const waiting = missing.slice(0, Math.max(0, room)).values();
    let isDone = true;
    const work = async (): Promise<void> => {
      for (const content of waiting) {
        if (signal.aborted) return;
        isDone = (await this.#provide(content)) && isDone;
      }
    };
    await Promise.all(Array.from({ length: DHT_CONTENTS.atOnce }, work));
    return isDone;
  }

  async #provide({ metadata, name, kind }: Content): Promise<boolean> {
    const { host, events } = this.#options;
    const { signal } = this.#stopping;
    const { root } = metadata;
    try {
      const { stored } = await host.dht.provide(bytesOf(root), { signal });
      if (stored.length === 0) return false;
      this.#provided.set(root, stored.length);
      events[kind === "part" ? "debug" : "info"](
        "TORRENT",
        `${name} announced in the DHT, confirmed by ${stored.length} ${stored.length === 1 ? "peer" : "peers"}`,
        { root, confirmed: stored.length },
      );
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const { code, message } = ShoalError.from(error);
      events.debug(
        "DHT",
        `${name} is not announced in the DHT yet: ${message}`,
        { code },
      );
      return false;
    }
  }
}

function bytesOf(root: Root): Uint8Array {
  return Buffer.from(root, "hex");
}
