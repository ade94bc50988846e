/** What came of a question to the DHT: who was asked, and what each of them said. */
import type { Clock } from "../../lib/index.ts";

/** `refused`: it answered, and would not. `invalid`: what it sent did not hold. */
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
  /** One for each peer that was asked. None: nobody was there to ask, which is no failure. */
  answers: readonly PeerAnswer[];
  /** False: the deadline came before everybody had answered. */
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
  /** The best valid value: of the network's, and of what this host keeps itself. */
  value: Uint8Array | undefined;
  /** Peers that answered with exactly this value. */
  from: readonly string[];
  /** All different valid values, for a caller that knows whose it wants. */
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

/** Collects answers; the last word of a peer counts. */
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

  /** `purpose`: what nobody was there to do. */
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
  invalid: "sent what is not valid",
  unreachable: "unreachable",
  "timed-out": "did not answer in time",
};

function inWords(
  answers: readonly PeerAnswer[],
  complete: boolean,
  purpose: string,
): string {
  const end = complete ? "" : "; ended by its deadline";
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
  /** What a key is cut to. */
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
