/** The outcome of a DHT operation: who was asked, and what each answered. */
import type { Clock } from "../../lib/index.ts";

/** `refused`: it answered and declined. `invalid`: its answer was not valid. */
export type Said =
  | "stored"
  | "found"
  | "nothing"
  | "refused"
  | "invalid"
  | "unreachable"
  | "timed-out";

export interface PeerAnswer {
  peer: string;
  said: Said;
  reason?: string | undefined;
}

export interface DhtOutcome {
  /** One for each peer that was asked. None if there was nobody to ask, which is not a failure. */
  answers: readonly PeerAnswer[];
  /** False if the deadline came before everybody answered. */
  complete: boolean;
  tookMs: number;
  /** For people: "stored by 3 of 4 peers; 1 unreachable". */
  words: string;
}

export interface StoreOutcome extends DhtOutcome {
  /** Peers that confirmed that they keep it. */
  stored: readonly string[];
}

export interface GetOutcome extends DhtOutcome {
  /** The best valid value of the network's and this host's own. */
  value: Uint8Array | undefined;
  /** Peers that answered with exactly this value. */
  from: readonly string[];
  /** All different valid values, for a caller that wants a certain owner's. */
  values: readonly Uint8Array[];
}

export interface Provider {
  peer: string;
  addresses: readonly string[];
}

export interface ProvidersOutcome extends DhtOutcome {
  /** Without this host itself. */
  providers: readonly Provider[];
}

/** Collects answers; a peer's last answer counts. */
export class Answers {
  readonly #byPeer = new Map<string, PeerAnswer>();
  readonly #startedMs: number;
  readonly #clock: Clock;
  complete = true;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.now();
  }

  add(answer: PeerAnswer): void {
    this.#byPeer.set(answer.peer, answer);
  }

  has(peer: string): boolean {
    return this.#byPeer.has(peer);
  }

  peers(said: Said): string[] {
    return [...this.#byPeer.values()]
      .filter((answer) => answer.said === said)
      .map(({ peer }) => peer);
  }

  /** `purpose`: what there was nobody to do. */
  outcome(purpose: "store at" | "ask"): DhtOutcome {
    const answers = [...this.#byPeer.values()];
    return {
      answers,
      complete: this.complete,
      tookMs: Math.max(0, this.#clock.now() - this.#startedMs),
      words: inWords(answers, this.complete, purpose),
    };
  }
}

const WORDS: Readonly<Record<Said, string>> = {
  stored: "stored it",
  found: "had it",
  nothing: "had nothing",
  refused: "refused",
  invalid: "sent something invalid",
  unreachable: "unreachable",
  "timed-out": "did not answer in time",
};

function inWords(
  answers: readonly PeerAnswer[],
  complete: boolean,
  purpose: string,
): string {
  const end = complete ? "" : "; the deadline ended it";
  if (answers.length === 0) return `nobody to ${purpose}${end}`;
  const counted = Object.entries(WORDS).flatMap(([said, word]) => {
    const count = answers.filter((answer) => answer.said === said).length;
    return count === 0 ? [] : [`${count} ${word}`];
  });
  const asked =
    answers.length === 1 ? "1 peer asked" : `${answers.length} peers asked`;
  return `${asked}: ${counted.join(", ")}${end}`;
}

/** One line of the status. */
export interface DhtLookup {
  timeMs: number;
  what: string;
  outcome: string;
  asked: number;
  found: number;
  tookMs: number;
}

/** The last lookups. */
export class LookupLog {
  static readonly length = 64;
  /** The length a key is cut to. */
  static readonly characters = 160;
  readonly #lookups: DhtLookup[] = [];

  add(what: string, outcome: DhtOutcome, found: number, nowMs: number): void {
    this.#lookups.push({
      timeMs: nowMs,
      what: what.slice(0, LookupLog.characters),
      outcome: outcome.words,
      asked: outcome.answers.length,
      found,
      tookMs: outcome.tookMs,
    });
    if (this.#lookups.length > LookupLog.length) this.#lookups.shift();
  }

  list(): DhtLookup[] {
    return [...this.#lookups];
  }
}
