import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HandClock } from "../../test/support/clock.ts";
import { Events, isShoalError, type ShoalError } from "../lib/index.ts";
import type { RelayPassage } from "../network/index.ts";
import { RELAY_LIMITS, RelayLimits } from "./relay-limits.ts";

const RATE = 1_000_000;

/** Peers are in the clusters that their names begin with: "a1" is in a, "ab1" in a and b, "-1" in none. */
function scene(): {
  clock: HandClock;
  limits: RelayLimits;
  joined: Map<string, string[]>;
  connect: (
    from: string,
    to: string,
  ) => RelayPassage & { ended: () => ShoalError | undefined };
} {
  const clock = new HandClock();
  const joined = new Map<string, string[]>();
  const limits = new RelayLimits({
    clock,
    events: new Events(),
    bytesPerSecond: RATE,
  });
  limits.clustersOf = (peer) => joined.get(peer) ?? peer.match(/[a-z]/g) ?? [];
  return {
    clock,
    limits,
    joined,
    connect: (from, to) => {
      let ended: ShoalError | undefined;
      const passage = limits.connect(from, to, (error) => (ended = error));
      return { ...passage, ended: () => ended };
    },
  };
}

function refusal(limit: RegExp): (error: unknown) => boolean {
  return (error) =>
    isShoalError(error, "RELAY_LIMIT") && limit.test(error.message);
}

/** What passes in so many seconds of one that always has more to send. */
async function sent(
  clock: HandClock,
  seconds: number,
  passages: readonly { peer: string; passage: RelayPassage }[],
): Promise<number[]> {
  const chunk = 10_000;
  const bytes = passages.map(() => 0);
  const nextMs = passages.map(() => clock.now());
  for (const endMs = clock.now() + seconds * 1_000; clock.now() < endMs;) {
    passages.forEach(({ peer, passage }, i) => {
      while (nextMs[i]! <= clock.now()) {
        bytes[i]! += chunk;
        const waitMs = passage.passed(peer, chunk);
        if (waitMs > 0) nextMs[i] = clock.now() + waitMs;
      }
    });
    await clock.pass(5);
  }
  return bytes.map((sum) => sum / seconds / RATE);
}

function isAbout(part: number, expected: number): void {
  assert.ok(Math.abs(part / expected - 1) < 0.15, `${part}, not ${expected}`);
}

describe("a relay's limits", () => {
  test("each bound refuses with its name, and frees what is closed", () => {
    for (const [bound, from, to, limit] of [
      [
        RELAY_LIMITS.connectionsOfPeer,
        () => "a1",
        (i: number) => `a${i + 2}`,
        /64 connections of one peer$/,
      ],
      [
        RELAY_LIMITS.connectionsOfStrangers,
        (i: number) => `-${i}`,
        (i: number) => `-x${i}`.replace("x", "0"),
        /32 connections of peers in no common cluster$/,
      ],
      [
        RELAY_LIMITS.connectionsOfCluster,
        (i: number) => `a${i}`,
        () => "a-",
        /2048 connections of one cluster$/,
      ],
    ] as const) {
      const { connect } = scene();
      const all = Array.from({ length: bound }, (_, i) =>
        connect(from(i), to(i)),
      );
      assert.throws(() => connect(from(bound), to(bound)), refusal(limit));
      connect("b1", "b2"); // another cluster's are untouched
      all[0]!.close();
      connect(from(0), to(0));
    }
  });

  test("places are bounded, of a cluster, of strangers, and of all", () => {
    const { limits } = scene();
    for (let i = 0; i < RELAY_LIMITS.placesOfStrangers; i++)
      limits.reserve(`-${i}`);
    assert.throws(
      () => limits.reserve("-"),
      refusal(/64 places of peers in no cluster/),
    );
    for (let i = 0; i < RELAY_LIMITS.placesOfCluster; i++)
      limits.reserve(`a${i}`);
    assert.throws(
      () => limits.reserve("a"),
      refusal(/1024 places of one cluster/),
    );
    limits.reserve("ab"); // the other has room
    limits.reserve("a7"); // it has one
    for (const gone of ["a7", "a8"]) limits.released(gone); // that one counts in both
    limits.reserve("a");
    assert.equal(
      limits.use.places,
      RELAY_LIMITS.placesOfStrangers + RELAY_LIMITS.placesOfCluster,
    );
  });

  test("a peer that asks without end is refused, others are not", async () => {
    const { clock, limits } = scene();
    const ask = () => limits.checkPlace("a1");
    for (let i = 0; i < RELAY_LIMITS.askBurst; i++) ask();
    assert.throws(ask, refusal(/8 questions a second/));
    limits.checkPlace("a2");
    await clock.pass(1_000);
    ask();
  });

  test("strangers may send 128 KiB, or for two minutes", async () => {
    const { clock, connect } = scene();
    const some = connect("-1", "-2");
    some.passed("-1", 65_536);
    some.passed("-2", 65_536);
    assert.equal(some.ended(), undefined);
    some.passed("-1", 1);
    assert.match(
      some.ended()!.message,
      /131072 bytes of peers in no common cluster/,
    );
    const idle = connect("a1", "b1");
    await clock.pass(RELAY_LIMITS.strangersMs);
    assert.match(idle.ended()!.message, /120 s of peers in no common cluster/);
  });

  test("strangers that have joined a cluster by then go on as its members", async () => {
    const { clock, connect, joined } = scene();
    const passage = connect("-1", "-2");
    joined.set("-1", ["a"]).set("-2", ["a"]);
    passage.passed("-1", 10_000_000);
    await clock.pass(RELAY_LIMITS.strangersMs);
    assert.equal(passage.ended(), undefined);
    passage.close();
  });

  test("the rate is divided among clusters that send, and in each among peers that send", async () => {
    const { clock, connect } = scene();
    const of = (peer: string, other: string) => ({
      peer,
      passage: connect(peer, other),
    });
    const lone = [of("a1", "a0")];
    isAbout((await sent(clock, 20, lone))[0]!, 1);
    const all = [...lone, of("b1", "b0"), of("b2", "b0")];
    const [a1, b1, b2] = await sent(clock, 40, all);
    isAbout(a1!, 1 / 2);
    isAbout(b1!, 1 / 4);
    isAbout(b2!, 1 / 4);
  });

  test("whoever sends little never waits, however much others send", async () => {
    const { clock, connect } = scene();
    const tokens = connect("a1", "a0");
    const flood = connect("a2", "a0");
    for (let i = 0; i < 500; i++) {
      flood.passed("a2", 1_000_000); // it ignores how long it is to wait
      assert.equal(tokens.passed("a1", 4_096), 0);
      await clock.pass(20);
    }
  });
});
