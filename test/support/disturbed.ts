/**
 * Replies of which a stage is lost while they run, against the same ones of a cluster that nothing happens to: the same text, the same end, no token
 * twice; and how long it took until they went on. Each is asked for once only: none goes on from what another one left at the stages.
 */
import { type FaultName, FAULTS } from "./fault.ts";
import type { Random } from "./random.ts";
import type { Replicas } from "./replicas.ts";
import {
  type Api,
  type Ask,
  ask,
  assertSame,
  NO_END,
  type Reply,
} from "./reply.ts";

/** A reply that waits may do so for a minute, and computes all so far again; this ends a hang. */
const HANG_MS = 180_000;
const TRIES = 20;
const TOKENS = 400;

export const WAYS = [
  "greedy",
  "sampled",
  "penalties",
  "stop string",
  "two choices",
] as const;
export type Way = (typeof WAYS)[number];

export interface Case {
  fault: FaultName;
  way: Way;
  stream: boolean;
  /** At once. */
  sessions: number;
}

export interface Disturbed extends Case {
  /** Pieces of text, or tokens where it is not streamed, that had come before the fault. */
  after: number;
  /** The stage that was lost. */
  stage: number;
  replies: Reply[];
  /** All times from the fault on. Until the gateway looked for another way; undefined if it never did. */
  detectedMs: number | undefined;
  /** Of the streamed replies that noticed: until the end of the longest pause, and how long what had come had taken before. */
  wentOn: { ms: number; beforeMs: number }[];
  endedMs: number;
  /** What the gateway said of its sessions, and when after the fault. */
  told: { ms: number; message: string }[];
}

export class Disturber {
  readonly #replicas: Replicas;
  readonly #undisturbed: Api;
  readonly #random: Random;
  #asked = 0;

  /** `undisturbed` serves the same model. */
  constructor(replicas: Replicas, undisturbed: Api, random: Random) {
    this.#replicas = replicas;
    this.#undisturbed = undisturbed;
    this.#random = random;
  }

  /** Asks, strikes, waits for the end, mends, and compares. Replies that were too fast for that are followed by others. */
  async disturb(one: Case): Promise<Disturbed> {
    const replicas = this.#replicas;
    const after = 1 + this.#random.below(TOKENS / 2);
    for (let tries = 0; tries < TRIES; tries++) {
      if (tries > 0) await replicas.whole();
      const asks = await this.#asks(one);
      const running = begin(replicas, asks, one, after);
      const route = await running.route;
      if (route === undefined) continue;
      const stage = this.#random.below(route.length);
      const from = replicas.gateway.member.mark();
      const struckMs = Date.now();
      const mend = await FAULTS[one.fault].strike(replicas, {
        route,
        index: stage,
      });
      const lostMs = Date.now();
      try {
        const replies = await running.all;
        const what = `${one.fault} after ${after} tokens`;
        await this.#compare(asks, replies, what);
        if (replies.every(({ endedMs }) => endedMs <= lostMs)) continue;
        const told = replicas.gateway.member.seen
          .slice(from)
          .filter(({ tag }) => tag === "SESSION")
          .map(({ timeMs, message }) => ({ ms: timeMs - struckMs, message }));
        return {
          ...one,
          after,
          stage,
          replies,
          detectedMs: told[0]?.ms,
          told,
          // The other choice may be the one that was struck.
          wentOn:
            one.stream && one.way !== "two choices"
              ? replies.flatMap((reply) => wentOn(reply, struckMs))
              : [],
          endedMs: Math.max(...replies.map((r) => r.endedMs)) - struckMs,
        };
      } finally {
        await mend();
      }
    }
    throw new Error("each reply ended before its fault");
  }

  /** One for each session, all new. */
  async #asks({ way, sessions }: Case): Promise<Ask[]> {
    const asks: Ask[] = [];
    for (let i = 0; i < sessions; i++) asks.push(await this.#ask(way));
    return asks;
  }

  async #ask(way: Way): Promise<Ask> {
    const number = ++this.#asked;
    const long: Ask = {
      // Shorter than the blocks that a prompt may share with another one.
      prompt: `Once upon a time there were ${number}`,
      max_tokens: TOKENS,
      logit_bias: NO_END,
    };
    const sampled = { ...long, temperature: 1, seed: number };
    switch (way) {
      case "greedy":
        return { ...long, temperature: 0 };
      case "sampled":
        return sampled;
      case "penalties":
        return { ...sampled, frequency_penalty: 0.6, presence_penalty: 0.4 };
      case "stop string": {
        const { text } = await this.#expected(sampled);
        return { ...sampled, stop: [text.slice(-60, -40)] };
      }
      case "two choices":
        return { ...sampled, n: 2 };
      default:
        return way satisfies never;
    }
  }

  async #expected(how: Ask): Promise<Reply> {
    const signal = AbortSignal.timeout(HANG_MS);
    return await ask(this.#undisturbed, how, { stream: true, signal });
  }

  async #compare(
    asks: readonly Ask[],
    replies: readonly Reply[],
    what: string,
  ): Promise<void> {
    const expected = await Promise.all(asks.map((how) => this.#expected(how)));
    for (const [i, reply] of replies.entries())
      assertSame(reply, expected[i]!, what);
  }
}

interface Running {
  all: Promise<Reply[]>;
  /** Of one that is in the middle of its reply; undefined if all had ended. */
  route: Promise<string[] | undefined>;
}

function begin(
  replicas: Replicas,
  asks: readonly Ask[],
  { stream }: Case,
  after: number,
): Running {
  const signal = AbortSignal.timeout(HANG_MS);
  const reached = Promise.withResolvers<void>();
  const onPiece = (count: number): void => {
    if (stream && count >= after) reached.resolve();
  };
  const all = Promise.all(
    asks.map((how) => ask(replicas, how, { stream, signal, onPiece })),
  );
  let isOver = false;
  const over = (): void => {
    isOver = true;
    reached.resolve();
  };
  all.then(over, over);
  const route = async (): Promise<string[] | undefined> => {
    if (stream) await reached.promise;
    const session = await replicas.session(
      ({ tokens }) => tokens >= after,
      () => isOver,
    );
    return session?.route.map(({ peer }) => peer);
  };
  return { all, route: route() };
}

/** The end of the longest pause after the fault. */
function wentOn(
  { startedMs, cameMs, recoveries }: Reply,
  struckMs: number,
): Disturbed["wentOn"] {
  if (recoveries === 0) return [];
  let [longestMs, endMs, beforeMs] = [-1, 0, 0];
  for (const [i, atMs] of cameMs.entries()) {
    const sinceMs = cameMs[i - 1] ?? startedMs;
    if (atMs <= struckMs || atMs - sinceMs <= longestMs) continue;
    longestMs = atMs - sinceMs;
    [endMs, beforeMs] = [atMs, sinceMs - startedMs];
  }
  return longestMs < 0 ? [] : [{ ms: endMs - struckMs, beforeMs }];
}
