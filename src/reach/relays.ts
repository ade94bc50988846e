/**
 * Keeps a node that others cannot reach reachable through relays: the rendezvous that it joined through, and a member that relays. Should
 * one of the two be lost, connections go over the other.
 */
import {
  backoffMs,
  type Clock,
  type EventSink,
  isShoalError,
  ShoalError,
  steadyClock,
} from "../lib/index.ts";
import type { Commands, Host, PeerTarget } from "../network/index.ts";
import { needsRelay } from "./needs-relay.ts";
import { RELAY } from "./relay-service.ts";

export const RELAYS = Object.freeze({
  /** The connection to one may be lost in the middle of a reply. */
  wanted: 2,
  /** Whether a place was lost, or a member offers one, is looked at this often; and soon after a change. */
  lookMs: 5_000,
  soonMs: 250,
  askMs: 5_000,
  /** A peer that gave no place is asked again. */
  retryInitialMs: 1_000,
  retryMaxMs: 60_000,
  /** A join waits for a place no longer: it goes on without. */
  joinWaitMs: 3_000,
});

/** Peers remembered that gave no place. */
const MOST_FAILED = 256;

export interface RelaysOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  /** Members that relay. */
  offers: () => readonly PeerTarget[];
  /** Whether others were seen to dial this machine; undefined where nobody tried. */
  isReached?: () => boolean | undefined;
  clock?: Clock;
}

export class Relays {
  readonly #options: RelaysOptions;
  readonly #clock: Clock;
  /** Peers that it joined through. */
  readonly #rendezvous = new Set<string>();
  readonly #asking = new Map<string, Promise<void>>();
  /** Peers that gave no place: how often in a row, and not to be asked before when. */
  readonly #failed = new Map<string, { times: number; untilMs: number }>();
  /** Undefined until a rendezvous has said where it sees this machine. */
  #isNeeded: boolean | undefined;
  #cancelLook: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: RelaysOptions) {
    this.#options = options;
    this.#clock = options.clock ?? steadyClock;
  }

  start(): void {
    this.#unsubscribe = this.#options.host.onAddresses(() =>
      this.#lookIn(RELAYS.soonMs),
    );
    this.#lookIn(RELAYS.lookMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#cancelLook?.();
  }

  /** A rendezvous was connected: resolves when it relays for this node, or will not, or after a moment. Never rejects. */
  async at(rendezvous: string): Promise<void> {
    this.#rendezvous.add(rendezvous);
    const late = Promise.withResolvers<void>();
    const cancel = this.#clock.after(RELAYS.joinWaitMs, late.resolve);
    const asked = this.#ask({ peerId: rendezvous, addresses: [] });
    await Promise.race([asked, late.promise]);
    cancel();
  }

  #lookIn(waitMs: number): void {
    if (this.#stopped) return;
    this.#cancelLook?.();
    this.#cancelLook = this.#clock.after(waitMs, () => {
      this.#look();
      this.#lookIn(RELAYS.lookMs);
    });
  }

  #look(): void {
    const { host, offers } = this.#options;
    const connected = new Set(host.connections().map(({ peer }) => peer));
    const missing = RELAYS.wanted - host.relays().length;
    const due = [
      ...[...this.#rendezvous]
        .filter((peer) => connected.has(peer))
        .map((peerId) => ({ peerId, addresses: [] })),
      ...(this.#isNeeded === false ? [] : offers()),
    ].filter(({ peerId = "" }) => this.#isDue(peerId));
    for (const target of due.slice(0, Math.max(0, missing)))
      void this.#ask(target);
  }

  #isDue(peer: string): boolean {
    const { host } = this.#options;
    if (peer === host.peerId || host.relays().includes(peer)) return false;
    return (this.#failed.get(peer)?.untilMs ?? 0) <= this.#clock.now();
  }

  #ask(target: PeerTarget): Promise<void> {
    const { peerId = "" } = target;
    let asking = this.#asking.get(peerId);
    if (asking === undefined) {
      asking = this.#reserve(peerId, target).finally(() =>
        this.#asking.delete(peerId),
      );
      this.#asking.set(peerId, asking);
    }
    return asking;
  }

  /** Never rejects. */
  async #reserve(peer: string, target: PeerTarget): Promise<void> {
    const { host, commands, events, isReached } = this.#options;
    try {
      if (isReached?.() === true || host.relays().includes(peer)) return;
      const { askMs: timeoutMs } = RELAYS;
      const { name, result } = RELAY;
      const { seenAt, bytesPerSecond } = await commands.call(
        target,
        name,
        {},
        result,
        { timeoutMs },
      );
      const isNeeded = isReached?.() === false || needsRelay(seenAt);
      if (this.#rendezvous.has(peer)) this.#isNeeded = isNeeded;
      // A relay that is itself reached through another one is of no use.
      const isDirect = host
        .connections()
        .some((one) => one.peer === peer && one.transport !== "relayed");
      if (!isNeeded || !isDirect || this.#stopped) return this.#later(peer);
      await host.relayThrough(peer, { timeoutMs });
      this.#failed.delete(peer);
      const what = "others reach this node through a relay";
      events.info("CONNECT", what, { peer, bytesPerSecond });
    } catch (error) {
      this.#later(peer);
      if (this.#stopped) return;
      const { code, message } = ShoalError.from(error);
      const what = `no place at a relay: ${message}`;
      const level = isShoalError(error, "COMMAND_UNKNOWN") ? "debug" : "warn";
      events[level]("CONNECT", what, { peer, code });
    }
  }

  #later(peer: string): void {
    const times = (this.#failed.get(peer)?.times ?? 0) + 1;
    const { retryInitialMs: initialMs, retryMaxMs: maxMs } = RELAYS;
    const waitMs = backoffMs(times - 1, { initialMs, maxMs });
    this.#failed.set(peer, { times, untilMs: this.#clock.now() + waitMs });
    if (this.#failed.size <= MOST_FAILED) return;
    const [oldest] = this.#failed.keys();
    if (oldest !== undefined) this.#failed.delete(oldest);
  }
}
