import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type KnownPart,
  planSpareCopies,
  type SpareCopiesInput,
  spareCost,
} from "./plan-spare-copies.ts";

const MiB = 1024 * 1024;

/** "A" has it, "a" fetches it, "A*" keeps it on spare disk. */
function part(root: string, holders: string, sizeMiB = 10): KnownPart {
  return {
    root,
    sizeBytes: sizeMiB * MiB,
    holders: holders
      .split(" ")
      .filter((name) => name !== "")
      .map((name) => ({
        peer: name.replace("*", "").toUpperCase(),
        whole: name[0] === name[0]?.toUpperCase(),
        spare: name.endsWith("*"),
      })),
  };
}

function plan(
  parts: readonly KnownPart[],
  options: Partial<SpareCopiesInput> = {},
): { copy: string[]; drop: string[]; underTarget: string[] } {
  return planSpareCopies({
    self: "ME",
    target: 2,
    parts,
    kept: new Set(
      parts
        .filter((p) => p.holders.some((h) => h.peer === "ME" && h.spare))
        .map((p) => p.root),
    ),
    freeBytes: 1000 * MiB,
    atOnce: 10,
    ...options,
  });
}

const room = (parts: number): number => parts * spareCost(10 * MiB);

describe("what is kept", () => {
  const cases: [string, KnownPart[], Partial<SpareCopiesInput>, string[]][] = [
    ["what one has", [part("x", "A")], {}, ["x"]],
    ["not what two have", [part("x", "A B")], {}, []],
    ["not what another member is downloading", [part("x", "A b")], {}, []],
    ["not what is here", [part("x", "ME")], {}, []],
    [
      "not what is already downloading here",
      [part("x", "me")],
      { target: 3 },
      [],
    ],
    ["what nobody has, in case it comes back", [part("x", "")], {}, ["x"]],
    [
      "the rarest first",
      [part("x", "A B"), part("y", "A"), part("z", "A B C")],
      { target: 4 },
      ["y", "x", "z"],
    ],
    [
      "no more at once than allowed",
      [part("x", "A B"), part("y", "A")],
      { target: 4, atOnce: 1 },
      ["y"],
    ],
    ["nothing without room", [part("x", "A")], { freeBytes: 10 * MiB }, []],
    [
      "what fits, if the rarest does not",
      [part("x", "A", 50), part("y", "A B", 10)],
      { target: 3, freeBytes: room(1) },
      ["y"],
    ],
    [
      "no more than there is room for",
      [part("x", "A"), part("y", "A B"), part("z", "A B C")],
      { target: 4, freeBytes: room(2) },
      ["x", "y"],
    ],
  ];
  for (const [name, parts, options, expected] of cases) {
    test(name, () => assert.deepEqual(plan(parts, options).copy, expected));
  }
});

describe("what is dropped", () => {
  const plenty = part("p", "A B ME*");
  const rare = part("r", "A");
  const cases: [string, KnownPart[], Partial<SpareCopiesInput>, string[]][] = [
    ["nothing while there is room", [plenty, rare], {}, []],
    ["nothing that nobody needs room for", [plenty], { freeBytes: 0 }, []],
    ["abundant parts, for rare ones", [plenty, rare], { freeBytes: 0 }, ["p"]],
    [
      "nothing that is not abundant",
      [part("p", "A ME*"), rare],
      { freeBytes: 0 },
      [],
    ],
    [
      "nothing if it would not make enough room",
      [plenty, part("r", "A", 50)],
      { freeBytes: 0 },
      [],
    ],
    [
      "the most abundant, if the limit was lowered",
      [part("p", "A ME*"), part("q", "A B ME*")],
      { freeBytes: -1 },
      ["q"],
    ],
    [
      "everything, if nothing is offered any more",
      [part("p", "ME*"), part("q", "A ME*")],
      { freeBytes: -room(2) },
      ["q", "p"],
    ],
  ];
  for (const [name, parts, options, expected] of cases) {
    test(name, () => assert.deepEqual(plan(parts, options).drop, expected));
  }

  test("of several that could, as many as there are excess copies", () => {
    for (let i = 0; i < 50; i++) {
      const shared = part(`p${i}`, "A B* C* D*");
      const wanted = part("r", "A");
      const droppers = ["B", "C", "D"].filter((self) => {
        const kept = new Set([shared.root]);
        const options = { self, kept, freeBytes: 0 };
        return plan([shared, wanted], options).drop.length > 0;
      });
      assert.equal(droppers.length, 2, `of p${i}: ${droppers.join(" ")}`);
    }
  });
});

test("parts under target are named, the rarest first", () => {
  const parts = [part("x", "A b"), part("y", "A B"), part("z", "")];
  assert.deepEqual(plan(parts).underTarget, ["z", "x"]);
});

test("members that see the same begin at different parts", () => {
  const parts = Array.from({ length: 64 }, (_, i) => part(`part ${i}`, "A"));
  const first = new Set(
    Array.from({ length: 8 }, (_, i) =>
      plan(parts, { self: `member ${i}`, atOnce: 1 }).copy.join(""),
    ),
  );
  assert.ok(first.size >= 6, `${first.size} of 8`);
});

test("a cluster reaches its target within what each member offers, with few excess copies", () => {
  const members = Array.from({ length: 10 }, (_, i) => `M${i}`);
  const offered = room(16);
  let parts = Array.from({ length: 40 }, (_, i) => part(`part ${i}`, "SEED"));
  const held = new Map(members.map((m) => [m, new Set<string>()]));
  for (let round = 0; round < 40; round++) {
    const seen = parts; // everybody looks at once, then everybody acts
    for (const self of members) {
      const own = held.get(self)!;
      const { copy, drop } = planSpareCopies({
        self,
        target: 4,
        parts: seen,
        kept: own,
        freeBytes: offered - own.size * spareCost(10 * MiB),
        atOnce: 2,
      });
      for (const root of drop) own.delete(root);
      for (const root of copy) own.add(root);
      assert.ok(own.size * spareCost(10 * MiB) <= offered);
    }
    parts = parts.map((p) => ({
      ...p,
      holders: [
        { peer: "SEED", whole: true, spare: false },
        ...members
          .filter((m) => held.get(m)!.has(p.root))
          .map((peer) => ({ peer, whole: true, spare: true })),
      ],
    }));
  }
  const counts = parts.map(({ holders }) => holders.length);
  assert.ok(Math.min(...counts) >= 4, counts.join(" "));
  const sum = counts.reduce((a, b) => a + b, 0);
  assert.ok(sum <= 1.25 * 4 * 40, `${sum} copies`);
});
