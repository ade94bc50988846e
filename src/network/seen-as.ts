/** The public IPs at which others see this host, and its peers: who is behind the same router. */
import { addressClass, plainIp } from "./address-class.ts";

export const SEEN_AS = Object.freeze({
  /** An IP of each family, and another where a machine has two ways out. */
  ips: 4,
  /** Peers remembered; the longest unheard of go first. More members than a host dials. */
  peers: 4_096,
});

export class SeenAs {
  #own: readonly string[] = [];
  readonly #peers = new Map<string, readonly string[]>();

  /** Empty while nobody has said anything. */
  get own(): readonly string[] {
    return this.#own;
  }

  /** Returns whether that is news. */
  setOwn(ips: readonly string[]): boolean {
    const next = publicOf(ips);
    if (next.join() === this.#own.join()) return false;
    this.#own = next;
    return true;
  }

  /** A peer's word for itself, signed; empty or undefined if it does not know. */
  heard(peer: string, ips: readonly string[] | undefined): void {
    this.#peers.delete(peer);
    const known = publicOf(ips ?? []);
    if (known.length === 0) return;
    this.#peers.set(peer, known);
    const [oldest] = this.#peers.keys();
    if (this.#peers.size > SEEN_AS.peers && oldest !== undefined)
      this.#peers.delete(oldest);
  }

  of(peer: string): readonly string[] {
    return this.#peers.get(peer) ?? [];
  }
}

function publicOf(ips: readonly string[]): string[] {
  const known = ips.map(plainIp).filter((ip) => addressClass(ip) === "public");
  return [...new Set(known)].sort().slice(0, SEEN_AS.ips);
}
