/** Who dials whom through which kind of router. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { kindOf, mappingOf, planOf, type Sighting } from "./punch-plan.ts";

const at = (port: number): { host: string; port: number } => ({
  host: "198.18.1.2",
  port,
});
/** Listener, dialler: the mapped ports that each of the reflector's two ports saw. */
const seen = (
  [a, b]: (number | undefined)[],
  [c, d]: (number | undefined)[],
): Sighting => ({
  listener: [a === undefined ? a : at(a), b === undefined ? b : at(b)],
  dialler: [c === undefined ? c : at(c), d === undefined ? d : at(d)],
});
const EASY = seen([1, 1], [2, 2]);
const HARD = seen([3, 4], [5, 6]);
const BLOCKED = seen([], []);
const NO_LISTENER = seen([], [7, 7]);

test("a mapping is the same for all, or by target, or unseen; one lost probe of two does no harm", () => {
  for (const [ports, mapping] of [
    [[1, 1], "same"],
    [[1, 2], "by target"],
    [[undefined, 2], "same"],
    [[], "unseen"],
  ] as const) {
    const [a, b] = ports;
    assert.equal(mappingOf(seen([a, b], []).listener), mapping);
  }
  assert.equal(kindOf(HARD), "by target");
  assert.equal(kindOf(seen([1, 1], [])), "same");
});

test("the harder side dials the easier; else the asker, if the other listens", () => {
  for (const [name, asker, target, dialler, from, to] of [
    ["easy, easy", EASY, EASY, "asker", 2, 1],
    ["hard, easy", HARD, EASY, "asker", 5, 1],
    ["easy, hard", EASY, HARD, "target", 5, 1],
    ["easy, no listener", EASY, NO_LISTENER, "target", 7, 1],
    ["no listener, easy", NO_LISTENER, EASY, "asker", 7, 1],
  ] as const) {
    assert.deepEqual(
      planOf({ who: "asker", seen: asker }, { who: "target", seen: target }),
      {
        dialler,
        listener: dialler === "asker" ? "target" : "asker",
        from: at(from),
        to: at(to),
      },
      name,
    );
  }
});

test("where nobody can be dialled there is no plan", () => {
  for (const [asker, target] of [
    [HARD, HARD],
    [EASY, BLOCKED],
    [BLOCKED, EASY],
    [NO_LISTENER, NO_LISTENER],
  ] as const)
    assert.equal(
      planOf({ who: 1, seen: asker }, { who: 2, seen: target }),
      undefined,
    );
});
