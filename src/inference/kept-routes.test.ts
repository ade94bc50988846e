/** A request takes the route where its beginning is kept, unless another one is much faster. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Candidate } from "./holders.ts";
import { KeptRoutes, MOST_SLOWER, planAlong } from "./kept-routes.ts";

function candidate(
  peer: string,
  layerStart: number,
  changes: Partial<Candidate> = {},
): Candidate {
  return {
    peer,
    layerStart,
    layerEnd: layerStart + 4,
    addresses: [],
    sessions: { active: 0, max: 4 },
    msPerToken: 5,
    links: [],
    roundTripsMs: [],
    ...changes,
  };
}

function said(length: number, from = 0): Int32Array {
  return Int32Array.from({ length }, (_, i) => from + i);
}

function peers(
  groups: Candidate[][],
  kept: string[],
  mostSlower: number = MOST_SLOWER.begins,
): string[] | undefined {
  const plan = planAlong(groups, 8, new Set(kept), mostSlower);
  return plan?.stages.map(({ peer }) => peer);
}

const GROUP = [
  candidate("a1", 0),
  candidate("a2", 0),
  candidate("b1", 4),
  candidate("b2", 4),
];

test("the nodes that have the longest beginning are remembered, the last ones first", () => {
  const routes = new KeptRoutes();
  routes.note(said(100), [{ peer: "a1" }, { peer: "b1" }]);
  routes.note(said(300), [{ peer: "a2" }, { peer: "b1" }]);
  routes.note(said(300, 5), [{ peer: "a2" }, { peer: "b2" }]);
  assert.deepEqual([...routes.nodesWith(said(200))], ["a2", "b1"]);
  routes.note(said(400), [{ peer: "a1" }, { peer: "b2" }]);
  assert.deepEqual([...routes.nodesWith(said(200))], ["a1", "b2"]);
  assert.deepEqual([...routes.nodesWith(said(63))], []);
  assert.deepEqual([...routes.nodesWith(said(200, 9))], []);
});

test("what is remembered is bounded: the oldest is forgotten", () => {
  const routes = new KeptRoutes();
  for (let i = 0; i < 20; i++)
    routes.note(said(100_000, i), [{ peer: `p${i}` }]);
  assert.deepEqual([...routes.nodesWith(said(100, 0))], []);
  assert.deepEqual([...routes.nodesWith(said(100, 19))], ["p19"]);
});

test("a route goes through the nodes that have it, in any combination", () => {
  for (const a of ["a1", "a2"])
    for (const b of ["b1", "b2"])
      assert.deepEqual(peers([GROUP], [a, b]), [a, b]);
  assert.deepEqual(peers([GROUP], ["b2"])?.[1], "b2");
});

test("a node that is full, gone or much slower is no reason to wait", () => {
  const full = { sessions: { active: 4, max: 4 } };
  assert.deepEqual(
    peers([[candidate("a1", 0, full), ...GROUP.slice(1)]], ["a1", "b2"]),
    ["a2", "b2"],
  );
  assert.deepEqual(peers([GROUP.slice(1)], ["a1", "b2"]), ["a2", "b2"]);
  const slow = candidate("a1", 0, { msPerToken: 100 });
  assert.deepEqual(peers([[slow, ...GROUP.slice(1)]], ["a1"])?.[0], "a2");
  assert.equal(peers([[]], ["a1"]), undefined);
});

test("a reply that goes on stays with slower nodes, since the others would compute all of it again", () => {
  const slower = candidate("a1", 0, { msPerToken: 60 });
  const group = [slower, ...GROUP.slice(1)];
  assert.equal(peers([group], ["a1", "b2"])?.[0], "a2");
  const goesOn = peers([group], ["a1", "b2"], MOST_SLOWER.goesOn);
  assert.deepEqual(goesOn, ["a1", "b2"]);
});
