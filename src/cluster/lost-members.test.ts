import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LOST, type LostMember, LostMembers } from "./lost-members.ts";

const SECOND = 1_000;
const at = (peer: string): LostMember => ({ peer, addresses: [`of ${peer}`] });

/** Nobody is found; dials end on command. */
function seeking({ ends = true } = {}) {
  const dialed: LostMember[] = [];
  const lost = new LostMembers({
    random: () => 0.999_999,
    dial: async (member) => {
      dialed.push(member);
      if (!ends) await new Promise(() => {});
      throw new Error("no answer");
    },
  });
  return { lost, dialed };
}

/** Ticks in steps of a quarter of a second, and returns when it dialled. */
async function dialsIn(
  { lost, dialed }: ReturnType<typeof seeking>,
  fromMs: number,
  untilMs: number,
  isAlone = false,
): Promise<number[]> {
  const times: number[] = [];
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs += 250) {
    const before = dialed.length;
    lost.tick(nowMs, isAlone);
    for (let i = before; i < dialed.length; i++) times.push(nowMs);
    await Promise.resolve();
  }
  return times;
}

describe("a lost member", () => {
  test("is searched for soon at its address, then less and less often, and not for ever", async () => {
    const seeker = seeking();
    seeker.lost.add(at("a"), 0);
    const times = await dialsIn(seeker, 0, LOST.rememberMs + 600 * SECOND);
    assert.deepEqual(
      times.slice(0, 5).map((ms) => ms / SECOND),
      [0.5, 1.5, 3.5, 7.5, 15.5],
    );
    assert.deepEqual(seeker.dialed[0], at("a"));
    const [last = 0] = times.slice(-1);
    assert.ok(last <= LOST.rememberMs && last > LOST.rememberMs / 2);
    assert.ok(times.length < 25, `${times.length} dials in an hour`);
  });

  test("is searched for every 10 s by a member without neighbours", async () => {
    const seeker = seeking();
    seeker.lost.add(at("a"), 0);
    const times = await dialsIn(seeker, 0, 600 * SECOND, true);
    assert.ok(times.length > 55, `${times.length} dials in ten minutes`);
  });

  test("that is found or says goodbye is not searched for any more", async () => {
    const seeker = seeking();
    const { lost } = seeker;
    for (const peer of ["a", "b"]) lost.add(at(peer), 0);
    assert.equal(lost.found("a", 0), true);
    assert.equal(lost.found("a", 0), false);
    lost.forget("b");
    assert.deepEqual(await dialsIn(seeker, 0, 60 * SECOND), []);
  });

  test("that is found is a sign for the others", async () => {
    const seeker = seeking();
    for (const peer of ["a", "b"]) seeker.lost.add(at(peer), 0);
    await dialsIn(seeker, 0, 64 * SECOND);
    seeker.lost.found("a", 65 * SECOND);
    const times = await dialsIn(seeker, 65 * SECOND, 66 * SECOND);
    assert.deepEqual(times, [65.5 * SECOND]);
  });
});

test("dials at once and remembered members are bounded", async () => {
  const seeker = seeking({ ends: false });
  for (let i = 0; i <= LOST.most; i++) seeker.lost.add(at(`${i}`), 0);
  await dialsIn(seeker, 0, 60 * SECOND);
  assert.deepEqual(
    seeker.dialed.map(({ peer }) => peer),
    ["1", "2", "3", "4"],
  );
});
