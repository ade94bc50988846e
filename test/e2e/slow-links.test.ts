/**
 * Machines that are far from each other: tokens take what the links and the stages take, and little more; of two holders of the same layers
 * the nearer one computes, whichever that is now.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { splitModel } from "../../src/model/index.ts";
import type { NodeStatus, SessionStatus } from "../../src/status/index.ts";
import { type Far, startFar, stream } from "../support/far.ts";
import { Lateness } from "../support/lateness.ts";
import { Members } from "../support/member.ts";
import { writeRandomModel } from "../support/models.ts";
import { slowLinksMissing, TestNetwork } from "../support/namespaces.ts";
import { SMALL_MODEL } from "../support/seeded.ts";
import { until } from "../support/until.ts";

const TOKENS = 30;
const ONE_WAY_MS = 20;
const FAR_MS = 45;
/** Of these the median counts; what a reply takes is itself the median of its tokens. */
const REPLIES = 5;
/** Load on this machine comes and goes; what the ring itself takes stays. So many times the replies are measured at most. */
const ROUNDS = 6;
/**
 * What a token may take more than its compute and its links: the hops' own work, and load on this machine. Whatever crosses a link once more,
 * or waits for an answer, takes longer. Measured on an idle machine: 2 to 5 % of the whole.
 */
const MOST_OVER_MS = ONE_WAY_MS;
/** What a prediction may be off, either way: one that forgets a link, or counts it twice, is off by more. Measured on an idle machine: 1 to 8 %. */
const MOST_OFF = 0.35;
/**
 * From a link's change until a prompt takes the other way, on a machine with free processors. A link that became slow is the later news: the
 * last round trip from before counts for 10 s, the next echo is at most 4 s later, and one more such round may pass before it is announced.
 */
const FOLLOWED_MS = 45_000;

describe("slow links:", { skip: slowLinksMissing }, () => {
  for (const stages of [2, 3, 4])
    test(`a token through ${stages} stages takes their compute and ${stages} times ${ONE_WAY_MS} ms`, async (t) => {
      const far = await scene(t, {
        shards: Array.from({ length: stages }, (_, i) => i),
        stages,
      });
      await oneRound(MOST_OVER_MS, async () => {
        const { gapMs, session } = await reply(far);
        const { route } = session;
        assert.deepEqual(
          route.map(({ direct }) => direct),
          route.map(() => true),
        );
        assert.equal(route.length, stages);
        const leastMs =
          stages * ONE_WAY_MS +
          route.reduce((sum, { computeMs }) => sum + (computeMs ?? 0), 0);
        t.diagnostic(
          `${gapMs.toFixed(1)} ms a token; compute and links ${leastMs.toFixed(1)} ms`,
        );
        assert.ok(gapMs > stages * ONE_WAY_MS, "the links are slow");
        return gapMs - leastMs;
      });
    });

  test("the nearer holder computes, also after another one has become the nearer; what is predicted is seen", async (t) => {
    const far = await scene(t, { shards: [0, 1, 1], stages: 2 });
    const { network, nodes } = far;
    const [first, ...both] = nodes;
    const linkTo = ({ place }: Node, oneWayMs: number): Promise<unknown> =>
      network.slow([first!.place], [place], { oneWayMs });
    const isKnown = async (node: Node, oneWayMs: number): Promise<boolean> =>
      isAbout(longer(await far.status(), first!, node), 2 * oneWayMs);
    // The first times are those of a busy machine: only what changes from here on is news.
    for (const node of both)
      await until("the first round trips", () => isKnown(node, ONE_WAY_MS));
    // First one, then the other: neither the order of the nodes nor chance takes the right one ten times and more.
    for (const [near, other] of [both, both.toReversed()] as [Node, Node][]) {
      await linkTo(other, FAR_MS);
      await linkTo(near, ONE_WAY_MS);
      using lateness = new Lateness();
      const changedMs = performance.now();
      await until(
        "the measured round trips",
        async () =>
          (await isKnown(near, ONE_WAY_MS)) && (await isKnown(other, FAR_MS)),
      );
      const measuredMs = performance.now() - changedMs;
      // A gateway looks at renewed announcements once a second.
      await until("a route over the nearer one", async () => {
        const { session } = await reply(far);
        return session.route[1]?.peer === near.peer;
      });
      const followedMs = performance.now() - changedMs;
      t.diagnostic(
        `measured after ${seconds(measuredMs)}, followed after ${seconds(followedMs)}`,
      );
      assert.ok(followedMs - lateness.ms <= FOLLOWED_MS, seconds(followedMs));
      await oneRound(MOST_OFF, async () => {
        const { gapMs, session } = await reply(far);
        assert.equal(session.route[1]?.peer, near.peer);
        const predictedMs = session.predictedMsPerToken ?? Number.NaN;
        t.diagnostic(
          `predicted ${predictedMs.toFixed(1)} ms, seen ${gapMs.toFixed(1)} ms`,
        );
        return Math.abs(predictedMs / gapMs - 1);
      });
    }
  });
});

type Node = Far["nodes"][number];

/** Every link between its members is slow. */
async function scene(
  t: TestContext,
  { shards, stages }: { shards: readonly number[]; stages: number },
): Promise<Far & { network: TestNetwork }> {
  const network = await TestNetwork.create();
  t.after(() => network[Symbol.asyncDispose]());
  const members = await Members.of(t);
  const model = join(members.home, "model.gguf");
  await writeRandomModel(model, SMALL_MODEL);
  const dir = join(members.home, "shards");
  await splitModel({ path: model, shards: stages, outDir: dir });
  const far = await startFar({
    network,
    members,
    dir,
    shards,
    stages,
    onPlaces: (places) =>
      network.slow(places, places, { oneWayMs: ONE_WAY_MS }),
  });
  return { ...far, network };
}

/** Measures replies, again while the machine is busy, until the median of a round is at most this. */
async function oneRound(
  most: number,
  measure: () => Promise<number>,
): Promise<void> {
  const medians: number[] = [];
  do {
    const round: number[] = [];
    for (let i = 0; i < REPLIES; i++) round.push(await measure());
    medians.push(median(round));
  } while (medians.at(-1)! > most && medians.length < ROUNDS);
  assert.ok(medians.at(-1)! <= most, medians.join(", "));
}

/** A reply: the median of the times between its tokens, and what the gateway says of it. */
async function reply(
  far: Far,
): Promise<{ gapMs: number; session: SessionStatus }> {
  const { gapsMs, session } = await stream(far, TOKENS);
  return { gapMs: median(gapsMs), session };
}

/** The round trip between two members, as the status has it: of what both ends measured the longer time counts. */
function longer({ clusters }: NodeStatus, one: Node, other: Node): number {
  const says = (from: Node, to: Node): number => {
    const member = clusters[0]?.members.find(({ peer }) => peer === from.peer);
    const at = member?.links.findIndex((end) => to.peer.endsWith(end)) ?? -1;
    return member?.roundTripsMs[at] ?? Infinity;
  };
  return Math.max(says(one, other), says(other, one));
}

/** Exact enough for a prediction. */
function isAbout(ms: number, expectedMs: number): boolean {
  return Math.abs(ms / expectedMs - 1) <= MOST_OFF;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
