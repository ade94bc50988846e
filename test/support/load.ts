/**
 * Clients that ask one thing after the other, all the time, and compare every reply with that of a cluster that nothing happens to.
 *
 *     const load = await Load.start(t, { replicas, undisturbed }, { clients: 4 });
 *     …
 *     const { whole, failures } = await load.stop();
 */
import {
  type Api,
  type Ask,
  ask,
  assertSame,
  NO_END,
  type Reply,
} from "./reply.ts";
import { until } from "./until.ts";

/** Above the time that a reply waits for a stage: this ends a hang. */
const HANG_MS = 150_000;

export interface LoadOptions {
  clients: number;
  /** Of each reply. */
  tokens?: number;
  /** Different requests, which come again and again. */
  different?: number;
}

export interface LoadResult {
  /** Replies with the right text and end. */
  whole: number;
  /** One line for each other reply. */
  failures: string[];
  recoveries: number;
  /** The longest that a client waited for its first text, and for the next. */
  firstMs: number;
  pauseMs: number;
}

export class Load {
  readonly #api: Api;
  readonly #known: readonly { how: Ask; expected: Reply }[];
  readonly #result: LoadResult = {
    whole: 0,
    failures: [],
    recoveries: 0,
    firstMs: 0,
    pauseMs: 0,
  };
  #asked = 0;
  #isOver = false;
  #clients: Promise<void>[] = [];

  private constructor(
    api: Api,
    known: readonly { how: Ask; expected: Reply }[],
  ) {
    this.#api = api;
    this.#known = known;
  }

  static async start(
    t: { after: (undo: () => Promise<void>) => void },
    { replicas, undisturbed }: { replicas: Api; undisturbed: Api },
    { clients, tokens = 64, different = 24 }: LoadOptions,
  ): Promise<Load> {
    const known: { how: Ask; expected: Reply }[] = [];
    for (let i = 0; i < different; i++) {
      const how = askOf(i, tokens);
      const expected = await ask(undisturbed, how, {
        stream: true,
        signal: AbortSignal.timeout(HANG_MS),
      });
      known.push({ how, expected });
    }
    const load = new Load(replicas, known);
    // Where nobody waits for its end, it ends with the test.
    t.after(async () => void (await load.stop()));
    load.#clients = Array.from({ length: clients }, () => load.#run());
    return load;
  }

  get ended(): number {
    return this.#result.whole + this.#result.failures.length;
  }

  /** Until so many replies have ended since the start. */
  async has(replies: number): Promise<void> {
    for (let before = -1; this.ended > before && this.ended < replies;) {
      before = this.ended;
      await until("the next reply", () => this.ended > before);
    }
  }

  /** Takes no new request, and waits for the replies that run. */
  async stop(): Promise<LoadResult> {
    this.#isOver = true;
    await Promise.all(this.#clients);
    return this.#result;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const number = this.#asked++;
      const { how, expected } = this.#known[number % this.#known.length]!;
      try {
        const reply = await ask(this.#api, how, {
          stream: number % 4 > 0,
          signal: AbortSignal.timeout(HANG_MS),
        });
        assertSame(reply, expected, `request ${number}`);
        this.#result.whole++;
        this.#count(reply);
      } catch (error) {
        const at = new Date().toISOString();
        this.#result.failures.push(`${at} request ${number}: ${String(error)}`);
      }
    }
  }

  #count({ startedMs, cameMs, recoveries }: Reply): void {
    const result = this.#result;
    result.recoveries += recoveries;
    for (const [i, atMs] of cameMs.entries()) {
      const sinceMs = cameMs[i - 1];
      if (sinceMs === undefined)
        result.firstMs = Math.max(result.firstMs, atMs - startedMs);
      else result.pauseMs = Math.max(result.pauseMs, atMs - sinceMs);
    }
  }
}

/** Greedy, sampled, and with penalties. */
function askOf(number: number, tokens: number): Ask {
  const how = {
    prompt: `Once upon a time there were ${number}`,
    max_tokens: tokens,
    logit_bias: NO_END,
    seed: number,
  };
  switch (number % 3) {
    case 0:
      return { ...how, temperature: 0 };
    case 1:
      return { ...how, temperature: 1 };
    default:
      return { ...how, temperature: 1, frequency_penalty: 0.6 };
  }
}
