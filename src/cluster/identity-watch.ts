/**
 * Whether another process runs with this one's identity, from a copy of its key. Requests would reach either of the two, and each would take
 * back what the other announces. So the one that was started later gives way: whoever copied a home learns it where it was started, and what
 * has been running goes on. Both decide by the same signed words.
 *
 *     N starts         CHECK_IDENTITY ──► a peer that both are connected to ── MEET_RIVAL ──► O, which runs
 *     N decides   ◄── O's run, naming N's ──┘◄─────────── O's run, naming N's ──────────────────┘
 *     O is told        CHECK_IDENTITY, naming O's run ──► … ── MEET_RIVAL ──► O decides
 */
import { randomBytes } from "node:crypto";
import { type EventSink, isShoalError, ShoalError } from "../lib/index.ts";
import { type Commands, describeAddress, type Host } from "../network/index.ts";
import type { Sealed } from "./announcement.ts";
import { IDENTITY_CHECKS } from "./identity-checks.ts";
import { CHECK_IDENTITY, MEET_RIVAL } from "./protocol.ts";
import { isElder, type RunRecord, sealRun, unsealRun } from "./run-record.ts";

export interface IdentityWatchOptions {
  host: Pick<Host, "peerId" | "addresses" | "sign">;
  commands: Commands;
  events: EventSink;
  /** What the time is. */
  wallMs: () => number;
  /** An elder runs: this process must stop. The error is IDENTITY_IN_USE. Called once. */
  onTaken: (error: ShoalError) => void;
}

/** Of a rival, told to people. */
const ADDRESSES = 2;
/** A key that is started again and again is told of again, much later. */
const MET = 100;

export class IdentityWatch {
  readonly #options: IdentityWatchOptions;
  readonly #run: string = randomBytes(9).toString("base64url");
  readonly #startedMs: number;
  readonly #met = new Set<string>();
  #taken: ShoalError | undefined;

  constructor(options: IdentityWatchOptions) {
    this.#options = options;
    this.#startedMs = Math.max(0, Math.floor(options.wallMs()));
  }

  /** It gave way: what is announced under this identity is another's. */
  get isTaken(): boolean {
    return this.#taken !== undefined;
  }

  start(): void {
    const { commands, host } = this.#options;
    commands.handle(MEET_RIVAL.name, MEET_RIVAL.params, async ({ rival }) => {
      const other = await unsealRun(rival, host.peerId);
      this.#meet(other);
      return { sealed: await this.#seal(other.run) };
    });
  }

  /** Asks `peer` for other runs of this identity. Throws IDENTITY_IN_USE; that it could not be asked is no reason to stop. */
  async check(peer: string): Promise<void> {
    try {
      for (const sealed of await this.#ask(peer)) {
        const other = await unsealRun(sealed, this.#options.host.peerId);
        // It learns the same of this one.
        if (this.#isProof(other)) await this.#ask(peer, other.run);
        this.#meet(other);
      }
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      const what = `the identity was not checked: ${message}`;
      this.#options.events.debug("CLUSTER", what, { peer, code });
    }
    if (this.#taken !== undefined) throw this.#taken;
  }

  /** The same; who has to know is told by `onTaken`. */
  checkLater(peer: string): void {
    this.check(peer).catch((error: unknown) => {
      if (!isShoalError(error, "IDENTITY_IN_USE")) throw error;
    });
  }

  async #ask(peer: string, rival?: string): Promise<Sealed[]> {
    const { others } = await this.#options.commands.call(
      peer,
      CHECK_IDENTITY.name,
      { sealed: await this.#seal(rival) },
      CHECK_IDENTITY.result,
      { timeoutMs: 2 * IDENTITY_CHECKS.meetMs },
    );
    return others;
  }

  #meet(other: RunRecord): void {
    const { events, onTaken } = this.#options;
    if (!this.#isProof(other) || this.#met.has(other.run)) return;
    this.#met.add(other.run);
    const [oldest] = this.#met;
    if (this.#met.size > MET && oldest !== undefined) this.#met.delete(oldest);
    const { peer } = other;
    const addresses = other.addresses.slice(0, ADDRESSES).map(describeAddress);
    const where = addresses.length === 0 ? "unknown" : addresses.join(", ");
    if (!isElder(other, this.#own())) {
      events.warn(
        "CLUSTER",
        `another process was started with this one's identity (its address: ${where}): it stops, this one goes on`,
        { code: "IDENTITY_IN_USE", peer, addresses },
      );
      return;
    }
    this.#taken ??= new ShoalError(
      "IDENTITY_IN_USE",
      `another process runs with this one's identity, and longer (its address: ${where}): this one stops`,
      { peer, addresses },
    );
    onTaken(this.#taken);
  }

  #isProof({ run, rival }: RunRecord): boolean {
    return run !== this.#run && rival === this.#run;
  }

  #own(rival?: string): RunRecord {
    const { host } = this.#options;
    return {
      v: 1,
      kind: "run",
      peer: host.peerId,
      run: this.#run,
      startedMs: this.#startedMs,
      rival,
      addresses: host.addresses().slice(0, 16),
    };
  }

  async #seal(rival: string | undefined): Promise<Sealed> {
    const { host } = this.#options;
    return await sealRun(this.#own(rival), (data) => host.sign(data));
  }
}
