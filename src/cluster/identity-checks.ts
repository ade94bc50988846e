/**
 * Tells a peer of other processes with its identity. Two of them are two connections of one peer, so each of its connections is asked for the
 * run at its end. A connection whose process has died answers nothing.
 */
import {
  type Clock,
  type EventSink,
  ShoalError,
  steadyClock,
} from "../lib/index.ts";
import {
  type Commands,
  describeAddress,
  type Host,
  PeerQuota,
} from "../network/index.ts";
import type { Announcement, Sealed } from "./announcement.ts";
import { CHECK_IDENTITY, MEET_RIVAL } from "./protocol.ts";
import { type RunRecord, unsealRun } from "./run-record.ts";

export const IDENTITY_CHECKS = Object.freeze({
  /** A living process answers within a round trip; a process that was just started again waits as long for its predecessor. */
  meetMs: 2_000,
  /** Connections of one peer that are asked. */
  connections: 8,
  /** Of one peer. */
  rate: { burst: 20, perSecond: 1 },
  /** Two that met are told of for so long. */
  rememberMs: 60_000,
  most: 1_000,
});

export interface IdentityChecksOptions {
  host: Pick<Host, "connections">;
  commands: Commands;
  events: EventSink;
  clock?: Clock;
}

export class IdentityChecks {
  readonly #options: IdentityChecksOptions;
  readonly #clock: Clock;
  readonly #rate: PeerQuota;
  /** The runs of peers that had more than one, and when that was. */
  readonly #twice = new Map<string, { runs: RunRecord[]; atMs: number }>();

  constructor(options: IdentityChecksOptions) {
    const { clock = steadyClock } = options;
    const { burst, perSecond } = IDENTITY_CHECKS.rate;
    this.#options = options;
    this.#clock = clock;
    this.#rate = new PeerQuota(burst, perSecond, clock);
  }

  start(): void {
    this.#options.commands.handle(
      CHECK_IDENTITY.name,
      CHECK_IDENTITY.params,
      async ({ sealed }, { peer }) => {
        if (!this.#rate.take(peer))
          throw new ShoalError("RATE_LIMITED", "too many requests, slow down", {
            peer,
          });
        return { others: await this.#othersOf(peer, sealed) };
      },
    );
  }

  /** Where else than in this announcement's process its identity runs; undefined if nowhere that is known. */
  rivalOf({ peer, addresses }: Announcement): string[] | undefined {
    const twice = this.#twice.get(peer);
    if (twice === undefined) return undefined;
    if (twice.atMs + IDENTITY_CHECKS.rememberMs <= this.#clock.now())
      return undefined;
    return twice.runs.find((run) => run.addresses[0] !== addresses[0])
      ?.addresses;
  }

  async #othersOf(peer: string, sealed: Sealed): Promise<Sealed[]> {
    const own = await unsealRun(sealed, peer);
    const connections = this.#options.host
      .connections()
      .filter((connection) => connection.peer === peer)
      .slice(0, IDENTITY_CHECKS.connections);
    if (connections.length < 2) return [];
    const asked = connections.map(({ id }) => this.#meet(peer, sealed, id));
    const found = (await Promise.all(asked)).flat();
    const others = new Map(
      found
        .filter(({ record }) => record.run !== own.run)
        .map((one) => [one.record.run, one]),
    );
    if (others.size > 0)
      this.#note([own, ...[...others.values()].map(({ record }) => record)]);
    return [...others.values()].map((other) => other.sealed);
  }

  /** The run at the end of a connection, or nothing. */
  async #meet(
    peer: string,
    rival: Sealed,
    over: string,
  ): Promise<{ sealed: Sealed; record: RunRecord }[]> {
    const { name, result } = MEET_RIVAL;
    const how = { over, timeoutMs: IDENTITY_CHECKS.meetMs };
    try {
      const { commands } = this.#options;
      const { sealed } = await commands.call(
        peer,
        name,
        { rival },
        result,
        how,
      );
      return [{ sealed, record: await unsealRun(sealed, peer) }];
    } catch {
      return []; // gone, or it does not know the question
    }
  }

  #note(runs: RunRecord[]): void {
    const [{ peer }] = runs as [RunRecord];
    const before = this.#twice.get(peer);
    this.#twice.delete(peer);
    this.#twice.set(peer, { runs, atMs: this.#clock.now() });
    const [oldest] = this.#twice.keys();
    if (this.#twice.size > IDENTITY_CHECKS.most && oldest !== undefined)
      this.#twice.delete(oldest);
    const known = new Set(before?.runs.map(({ run }) => run));
    if (runs.every(({ run }) => known.has(run))) return;
    this.#options.events.warn("CLUSTER", "two processes have one identity", {
      code: "IDENTITY_IN_USE",
      peer,
      addresses: runs.flatMap(({ addresses }) =>
        addresses.slice(0, 1).map(describeAddress),
      ),
    });
  }
}
