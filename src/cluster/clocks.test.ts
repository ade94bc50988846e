/** Machines whose clocks are wrong: they are members like all others, and the operator is told how far they are off. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { createHost } from "../network/index.ts";
import { announcementOf } from "../../test/support/announcements.ts";
import { HandClock } from "../../test/support/clock.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import {
  holders,
  joined,
  sees,
  shard,
  startRendezvous,
} from "../../test/support/memberships.ts";
import { Watched } from "../../test/support/network.ts";
import {
  ANNOUNCEMENT,
  type Passed,
  seal,
  type Sealed,
} from "./announcement.ts";
import { CLOCKS, Clocks, clocksText } from "./clocks.ts";
import { KnownCluster } from "./known-cluster.ts";
import { passedOf } from "./records.ts";

const MINUTE_MS = 60_000;
const FIVE_MS = 5 * MINUTE_MS;

/** What this machine makes of others that are so far ahead of it, in minutes. */
function verdictOf(aheadMin: readonly number[]): string | undefined {
  const clocks = new Clocks();
  const [nowMs, wallMs] = [1_000, 9_000_000];
  for (const [i, ahead] of aheadMin.entries())
    clocks.heard(`peer-${i}`, wallMs - nowMs + 500 + ahead * MINUTE_MS, 500);
  return clocksText(clocks.verdict(nowMs, wallMs), "this one");
}

const verdicts: [name: string, aheadMin: number[], text: string | undefined][] =
  [
    ["nobody else", [], undefined],
    ["all agree", [0, 0.4, -0.4], undefined],
    [
      "two machines: either may be wrong",
      [-5],
      "the clocks of this one and …peer-0 are 5 min 0 s apart: the first is ahead",
    ],
    ["one of three", [5, 0], "a clock is off: …peer-0 by 5 min 0 s ahead"],
    [
      "this one of three",
      [5, 5],
      "the clock of this one is 5 min 0 s behind those of the others",
    ],
    [
      "this one, though one agrees with it",
      [-5, -5, -5, 0],
      "the clock of this one is 5 min 0 s ahead of those of the others",
    ],
    [
      "half of them",
      [5, 5, 0],
      "clocks are off: …peer-0 by 5 min 0 s ahead, …peer-1 by 5 min 0 s ahead",
    ],
    [
      "each another, the furthest first",
      [1, -5, 30, 2],
      "clocks are off: …peer-2 by 30 min 0 s ahead, …peer-1 by 5 min 0 s behind, …peer-3 by 2 min 0 s ahead, 1 more",
    ],
  ];
for (const [name, aheadMin, text] of verdicts)
  test(`clocks: ${name}`, () => {
    assert.equal(verdictOf(aheadMin), text);
  });

test("what was heard counts for a while, the newest of each machine, and follows this machine's clock when it is set", () => {
  const clocks = new Clocks();
  clocks.heard("a", 10_000 + FIVE_MS, 10_000);
  clocks.heard("a", 9_000, 9_000); // older, though it came later
  assert.equal(clocks.aheadMs("a", 10_000, 10_000), FIVE_MS);
  assert.equal(clocks.aheadMs("a", 20_000, 20_000 + FIVE_MS), 0);
  const overMs = 10_000 + CLOCKS.rememberMs;
  assert.equal(clocks.aheadMs("a", overMs, overMs), undefined);
  assert.equal(clocks.verdict(overMs, overMs).heard, 0);
});

test("a record lives for what is left of its time, whoever passed it on and whatever its peer's clock says", async () => {
  const alice = await createHost();
  const clock = new HandClock();
  const known = new KnownCluster({
    name: "friends",
    ownPeer: "self",
    clock,
    wallMs: () => 0,
  });
  const sealed = async (seq: number, issuedMs: number): Promise<Sealed> =>
    await seal(announcementOf({ peer: alice.peerId, seq, issuedMs }), (data) =>
      alice.sign(data),
    );
  const lives = (): boolean => known.records.list(clock.now()).length === 1;
  const { ttlMs } = ANNOUNCEMENT;
  const passed = async (
    seq: number,
    issuedMs: number,
    ageMs: number,
  ): Promise<Passed> => ({
    ...(await sealed(seq, issuedMs)),
    ageMs,
    renewed: undefined,
  });
  await known.takePassed(await passed(1, 1e15, ttlMs - 1_000));
  assert.ok(lives());
  assert.equal(
    passedOf(known.records.of(alice.peerId)[0]!, clock.now()).ageMs,
    ttlMs - 1_000,
  );
  await clock.pass(999);
  assert.ok(lives());
  await clock.pass(1);
  assert.ok(!lives());
  const over = known.takePassed(await passed(2, 1, ttlMs));
  await assert.rejects(over, {
    details: { reason: "expired" },
  });
  assert.deepEqual(known.refusals.toObject(), { expired: 1 });
  await known.take(await sealed(3, 0), { from: alice.peerId });
  assert.ok(lives());
});

for (const byMs of [FIVE_MS, -FIVE_MS])
  test(`a member whose clock is five minutes ${byMs > 0 ? "ahead" : "behind"} is a member like all others, and everybody is told`, async (t) => {
    const rendezvous = await startRendezvous(t);
    const [here, there] = [new Watched(), new Watched()];
    const wrong = await joined(t, rendezvous, {
      events: here,
      wallMs: () => Date.now() + byMs,
    });
    await wrong.membership.hold(shard(0));
    const right = await joined(t, rendezvous, { events: there });
    await right.membership.hold(shard(1));
    const late = await joined(t, rendezvous);
    for (const member of [wrong, right, late])
      await sees(member, (m) => m.view()?.ready === true, "readiness");
    const [cluster] = rendezvous.service.status();
    assert.deepEqual(cluster?.refused, {});
    assert.match(
      cluster?.clocks ?? "",
      /^a clock is off: ….{8} by (5 min 0|4 min 5\d) s (ahead|behind)$/,
    );
    const ahead = new Map(
      cluster?.members.map((m) => [m.peer, m.clockAheadMs ?? NaN]),
    );
    assert.ok(
      Math.abs((ahead.get(wrong.host.peerId) ?? NaN) - byMs) < MINUTE_MS,
    );
    assert.ok(Math.abs(ahead.get(right.host.peerId) ?? NaN) < MINUTE_MS);
    // Of two machines either may be wrong; from the third on it is known.
    await here.when(
      ({ message }) =>
        message.includes("the clock of this machine is") &&
        message.includes(byMs > 0 ? "ahead of those" : "behind those"),
      "the warning where the clock is wrong",
    );
    await there.when(
      ({ message, fields }) =>
        message.startsWith("a clock is off") &&
        fields.code === "CLOCK_SKEW" &&
        fields.peer === wrong.host.peerId,
      "the warning at the others",
    );
  });

test("a node whose clock was set back while it was away is back at once", async (t) => {
  const rendezvous = await startRendezvous(t);
  const gateway = await joined(t, rendezvous);
  const keyPath = join(await temporaryFolder(t), "node.key");
  const ahead = { wallMs: () => Date.now() + FIVE_MS };
  const first = await joined(t, rendezvous, ahead, { keyPath });
  await first.membership.hold(shard(0));
  await sees(gateway, holders("0 ready"), "its shard");
  await first.membership.leave();
  first.membership.stop();
  await first.host.stop();
  await sees(gateway, holders(), "its goodbye");
  const second = await joined(t, rendezvous, {}, { keyPath });
  await second.membership.hold(shard(0));
  await sees(gateway, holders("0 ready"), "its return");
});
