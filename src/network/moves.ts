/**
 * This machine gets another address: Wi-Fi to cable, another network, a router that restarts. Connections that left from an address which
 * is gone are dead, but neither end is told: QUIC here does not migrate, and TCP waits. So this host ends them at once, dials their peers
 * again, and tells them over the new connection to look at the old ones (protocol /shoal/moved/1.0.0; an empty request, an empty reply).
 */
import { settledWithin, sleep } from "../lib/index.ts";
import type { Connections } from "./connections.ts";
import { DEFAULTS } from "./defaults.ts";
import type { Host } from "./host.ts";
import { interfaceIps } from "./known-addresses.ts";
import { PeerQuota } from "./peer-quota.ts";
import { handleRequests, request } from "./request.ts";

export const MOVED_PROTOCOL = "/shoal/moved/1.0.0";

export const MOVES = Object.freeze({
  /** How often the machine's addresses are looked at, which takes 0.1 ms. */
  lookMs: 500,
  /** For so long after a change: an address comes before its routes. */
  settleMs: 10_000,
  /** A peer's connections are looked at so often: a machine changes its address less often. */
  burst: 4,
  perSecond: 0.2,
  /** Peers are dialled again for so long; those that keep connections of their own (a bootstrap, a cluster) go on after that. */
  retryMs: 15_000,
  retryEveryMs: 500,
  /** Dials at once. */
  dials: 8,
});

export class Moves {
  readonly #host: Host;
  readonly #connections: Connections;
  readonly #moved = new Set<string>();
  readonly #stopping = new AbortController();
  #dialling = false;
  #known = "";
  #untilMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(host: Host, connections: Connections) {
    this.#host = host;
    this.#connections = connections;
    const { burst, perSecond } = MOVES;
    const quota = new PeerQuota(burst, perSecond, performance);
    handleRequests(host, MOVED_PROTOCOL, async (_, { peer }) => {
      if (quota.take(peer)) await this.#connections.look(peer);
      return new Uint8Array();
    });
  }

  start(): void {
    this.#known = interfaceIps().join();
    this.#timer = setInterval(() => {
      const now = interfaceIps();
      const nowMs = performance.now();
      if (now.join() !== this.#known) this.#untilMs = nowMs + MOVES.settleMs;
      this.#known = now.join();
      if (nowMs < this.#untilMs) void this.#look(now);
    }, MOVES.lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#stopping.abort();
  }

  async #look(own: readonly string[]): Promise<void> {
    const lost = await this.#connections.endThoseFromElsewhere(own);
    for (const peer of lost) this.#moved.add(peer);
    if (this.#moved.size > 0 && !this.#dialling) await this.#dialAll();
  }

  async #dialAll(): Promise<void> {
    const { signal } = this.#stopping;
    this.#dialling = true;
    const untilMs = performance.now() + MOVES.retryMs;
    while (this.#moved.size > 0 && performance.now() < untilMs) {
      const now = [...this.#moved].slice(0, MOVES.dials);
      await settledWithin(
        DEFAULTS.dialMs,
        Promise.allSettled(now.map((peer) => this.#tell(peer))),
      );
      if (this.#moved.size === 0) break;
      await sleep(MOVES.retryEveryMs, signal).catch(() => {});
      if (signal.aborted) break;
    }
    this.#moved.clear();
    this.#dialling = false;
  }

  /** Rejects while it cannot be dialled. */
  async #tell(peer: string): Promise<void> {
    const { signal } = this.#stopping;
    const wait = { timeoutMs: DEFAULTS.openStreamMs, signal };
    // Behind those that are tried for the first time.
    this.#moved.delete(peer);
    this.#moved.add(peer);
    await this.#host.connect(peer, wait);
    this.#moved.delete(peer);
    await request(this.#host, peer, MOVED_PROTOCOL, new Uint8Array(), wait);
  }
}
