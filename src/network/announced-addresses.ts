/** The addresses at which a host says that it can be dialled: those of its machine, which change, and those that others proved. */
import { multiaddr } from "@multiformats/multiaddr";
import type { BuiltNode } from "./libp2p.ts";

/** How often the machine's addresses are looked at. It takes 0.1 ms. */
const LOOK_MS = 500;

export class AnnouncedAddresses {
  readonly #built: Pick<BuiltNode, "node" | "proved" | "circuits">;
  readonly #listeners = new Set<() => void>();
  #told = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(built: Pick<BuiltNode, "node" | "proved" | "circuits">) {
    this.#built = built;
    built.circuits.onChange(() => this.#look());
  }

  /** With /p2p/<id>, the proved ones first, those at relays last: records have room for a few. */
  all(): string[] {
    const { node, circuits } = this.#built;
    const direct = node.getMultiaddrs().map((a) => a.toString());
    const relayed = circuits.addresses(node.peerId.toString());
    return [...new Set([...direct, ...relayed])];
  }

  /** Without /p2p/<id>. With `isNews` the listeners hear of it even if they are the same. */
  announce(addresses: readonly string[], isNews = false): void {
    const { node, proved } = this.#built;
    const id = node.peerId.toString();
    const next = addresses.map((a) => multiaddr(`${a}/p2p/${id}`));
    proved.splice(0, proved.length, ...next);
    if (isNews) this.#told = "";
    this.#look();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    this.#told = this.all().join();
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  #look(): void {
    if (this.#timer === undefined) return;
    const now = this.all().join();
    if (now === this.#told) return;
    this.#told = now;
    for (const listener of this.#listeners) listener();
  }
}
