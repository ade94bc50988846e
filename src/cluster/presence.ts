/**
 * A process among its peers, whichever clusters it is a member of: it answers their commands about each, and finds out whether another
 * process has its identity. The memberships of one process share it.
 */
import {
  type Clock,
  type EventSink,
  type ShoalError,
  steadyClock,
} from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import {
  type ServedCluster,
  serveClusterCommands,
  unknownCluster,
} from "./cluster-commands.ts";
import { serveGossip } from "./gossip-streams.ts";
import { IdentityChecks } from "./identity-checks.ts";
import { IdentityWatch } from "./identity-watch.ts";

export interface PresenceOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  /** For how long things last. */
  clock?: Clock;
  /** What the time is. */
  wallMs?: () => number;
}

export class Presence {
  readonly checks: IdentityChecks;
  readonly identity: IdentityWatch;
  readonly #options: PresenceOptions;
  readonly #served = new Map<string, ServedCluster>();
  readonly #onTaken = new Set<(error: ShoalError) => void>();
  #started = false;

  constructor(options: PresenceOptions) {
    const { host, commands, events, clock = steadyClock } = options;
    this.#options = options;
    this.checks = new IdentityChecks({ host, commands, events, clock });
    this.identity = new IdentityWatch({
      host,
      commands,
      events,
      wallMs: options.wallMs ?? Date.now,
      onTaken: (error) => {
        for (const tell of this.#onTaken) tell(error);
      },
    });
  }

  /** Answers from now on; twice without harm. Before the host starts. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    const { commands, clock = steadyClock, wallMs = Date.now } = this.#options;
    const find = (name: string): ServedCluster | undefined =>
      this.#served.get(name);
    serveClusterCommands(commands, {
      clock,
      wallMs: () => Math.max(0, Math.floor(wallMs())),
      open: (name) => find(name) ?? unknownCluster(name),
      find,
      all: () => this.#served.values(),
    });
    serveGossip(this.#options.host, clock, find);
    this.checks.start();
    this.identity.start();
  }

  /** Is in a cluster until the returned function is called. `onTaken`: another process has this identity, and longer. */
  enter(
    served: ServedCluster,
    onTaken: (error: ShoalError) => void,
  ): () => void {
    const { name } = served.known;
    this.#served.set(name, served);
    this.#onTaken.add(onTaken);
    return () => {
      if (this.#served.get(name) === served) this.#served.delete(name);
      this.#onTaken.delete(onTaken);
    };
  }
}
