/** Keeps the connections that the mesh wants (mesh.ts): dials members until there are enough, and members whose records are in doubt. */
import { type Clock, type EventSink, ShoalError } from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import { neighboursToDial } from "./mesh.ts";
import type { ClusterRecords } from "./records.ts";

const MESH_LINK = Object.freeze({
  /** Interval of checks for missing connections. */
  lookMs: 3_000,
  /** After a connection was lost. */
  soonMs: 250,
  dialMs: 5_000,
  /** Dials at once. */
  dials: 4,
  /** Others' records of a member that was lost this recently are checked by a dial, because they may be older than the loss. */
  doubtMs: 15_000,
  /** A member that could not be reached is not dialled again for this long. */
  redialMs: 30_000,
});

export interface MeshLinkOptions {
  host: Pick<Host, "peerId" | "connect">;
  events: EventSink;
  clock: Clock;
  random: () => number;
  records: ClusterRecords;
  isConnected: (peer: string) => boolean;
  onConnected: (peer: string) => void;
}

export class MeshLink {
  readonly #options: MeshLinkOptions;
  readonly #notBefore = new Map<string, number>();
  readonly #dialing = new Set<string>();
  /** Members whose connection was lost, and when: their records may be old soon afterwards. */
  readonly #lost = new Map<string, number>();
  #nextLookMs = 0;
  #stopped = false;

  constructor(options: MeshLinkOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** A connection was lost; `wasMember` if a member's records were dropped. */
  lost(peer: string, wasMember: boolean): void {
    const now = this.#options.clock.now();
    if (wasMember) this.#lost.set(peer, now);
    this.#nextLookMs = Math.min(this.#nextLookMs, now + MESH_LINK.soonMs);
  }

  /** It was lost recently, and nobody has checked since. */
  doubts(peer: string): boolean {
    const lostMs = this.#lost.get(peer);
    const { clock, isConnected } = this.#options;
    if (lostMs === undefined || isConnected(peer)) return false;
    return clock.now() - lostMs <= MESH_LINK.doubtMs;
  }

  /** Once after each loss: if the member is there, it sends a new record itself. Otherwise others are believed from now on. */
  async look(peer: string, addresses: readonly string[]): Promise<void> {
    if (this.#dialing.has(peer)) return;
    await this.#dial(peer, addresses);
    this.#lost.delete(peer);
  }

  /** Dials members until there are enough neighbours. Call it every second. */
  tick(): void {
    const { host, records, clock, random, isConnected } = this.#options;
    const now = clock.now();
    if (now < this.#nextLookMs || this.#dialing.size > 0) return;
    this.#nextLookMs = now + MESH_LINK.lookMs * (0.75 + random() / 2);
    for (const [peer, lostMs] of this.#lost)
      if (now - lostMs > MESH_LINK.doubtMs) this.#lost.delete(peer);
    for (const [peer, untilMs] of this.#notBefore)
      if (untilMs <= now) this.#notBefore.delete(peer);
    const members = records
      .list(now)
      .map(({ announcement }) => announcement)
      .filter(({ peer }) => !this.#notBefore.has(peer));
    const addresses = new Map(members.map((a) => [a.peer, a.addresses]));
    const dial = neighboursToDial(
      host.peerId,
      addresses.keys(),
      isConnected,
      random,
    );
    for (const peer of dial.slice(0, MESH_LINK.dials))
      void this.#dial(peer, addresses.get(peer) ?? []);
  }

  async #dial(peer: string, addresses: readonly string[]): Promise<void> {
    const { host, events, clock, onConnected } = this.#options;
    this.#dialing.add(peer);
    try {
      const target = { peerId: peer, addresses };
      await host.connect(target, { timeoutMs: MESH_LINK.dialMs });
      if (!this.#stopped) onConnected(peer);
    } catch (error) {
      this.#notBefore.set(peer, clock.now() + MESH_LINK.redialMs);
      const { code, message } = ShoalError.from(error);
      const what = `a member could not be reached: ${message}`;
      events.debug("CLUSTER", what, { peer, code });
    } finally {
      this.#dialing.delete(peer);
    }
  }
}
