/** The order of the sessions' turns in an engine, and which tokens share a decode. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { type Turn, type TurnPolicy, Turns } from "./turns.ts";

/** Sharing always saves time and changes no bit. */
const FREE: TurnPolicy = {
  batch: "exact",
  sameBits: () => true,
  costMs: () => 10,
};

const OFF: TurnPolicy = { ...FREE, batch: "off" };

/** A session's sequence has its number. */
function turn(session: number, rows = 1): Turn {
  return { session, sequence: session, rows };
}

/** Decode by decode: the sessions, and the rows of a chunk. */
function drain(turns: Turns<Turn>): string[] {
  const order: string[] = [];
  for (;;) {
    const group = turns.next();
    if (group.length === 0) return order;
    order.push(
      group.map((t) => t.session + (t.rows > 1 ? `:${t.rows}` : "")).join(" "),
    );
  }
}

function of(policy: TurnPolicy, ...waiting: Turn[]): Turns<Turn> {
  const turns = new Turns(policy);
  for (const each of waiting) turns.add(each);
  return turns;
}

test("sessions take turns; each keeps its own order", () => {
  const a = [turn(0, 64), turn(0, 65), turn(0)];
  const b = [turn(1, 80), turn(1)];
  const turns = of(OFF, ...a, ...b);
  assert.equal(turns.size, 5);
  assert.deepEqual(drain(turns), ["0:64", "1:80", "1", "0:65", "0"]);
  assert.equal(turns.size, 0);
});

test("between two tokens of a session passes at most one chunk, and a chunk waits for one token of each", () => {
  const turns = of(OFF, turn(2, 64), turn(3, 64), turn(3, 64), turn(0));
  const order: number[] = [];
  for (let i = 0; i < 9; i++) {
    const [next] = turns.next();
    if (next === undefined) break;
    order.push(next.session);
    if (next.session < 2) turns.add(turn(next.session)); // its next token waits at once
    if (i === 2) turns.add(turn(1));
  }
  assert.deepEqual(order, [0, 2, 0, 1, 3, 0, 1, 3, 0]);
});

test("waiting tokens share a decode, by sequence", () => {
  assert.deepEqual(drain(of(FREE, turn(2), turn(0), turn(1))), ["0 1 2"]);
  assert.deepEqual(drain(of(OFF, turn(2), turn(0), turn(1))), ["2", "0", "1"]);
});

test("only neighbouring sequences share, and the oldest goes first", () => {
  const turns = of(FREE, turn(5), turn(0), turn(4), turn(7), turn(1));
  assert.deepEqual(drain(turns), ["4 5", "0 1", "7"]);
});

test("the number that share has the least ms a token, and the oldest is among them", () => {
  const costs = [0, 6, 19, 20, 22, 26];
  const policy: TurnPolicy = {
    batch: "fast",
    sameBits: () => false,
    costMs: (rows) => costs[rows],
  };
  const waiting = [turn(2), ...[0, 1, 3, 4, 5, 6].map((s) => turn(s))];
  // 5 rows take 5.2 ms a token, 1 takes 6, 2 would take 9.5.
  assert.deepEqual(drain(of(policy, ...waiting)), ["0 1 2 3 4", "5", "6"]);
  const last = [turn(6), ...[0, 1, 2, 3, 4, 5].map((s) => turn(s))];
  assert.deepEqual(drain(of(policy, ...last)), ["2 3 4 5 6", "0", "1"]);
});

test("each stage of a ring takes its part of the sessions at once", () => {
  const turns = of(FREE, turn(0), turn(1), turn(2), turn(3), turn(4));
  turns.stages = 2;
  assert.deepEqual(drain(turns), ["0 1 2", "3 4"]);
});

test("exact: only numbers of rows that change no bit; unknown costs: alone", () => {
  const some: TurnPolicy = { ...FREE, sameBits: (rows) => rows === 2 };
  assert.deepEqual(drain(of(some, turn(0), turn(1), turn(2))), ["0 1", "2"]);
  const unknown: TurnPolicy = { ...FREE, costMs: () => undefined };
  assert.deepEqual(drain(of(unknown, turn(0), turn(1))), ["0", "1"]);
});

test("what ended is gone, and its sequence may be another session's", () => {
  const turns = of(FREE, turn(0), turn(1), turn(2, 64), turn(2), turn(3));
  turns.drop(1);
  turns.drop(2);
  turns.drop(9);
  assert.equal(turns.size, 2);
  turns.add({ session: 10, sequence: 1, rows: 1 });
  assert.deepEqual(drain(turns), ["0 10", "3"]);
});

test("any order of events: nothing is lost or doubled, order and fairness hold", () => {
  const event = fc.record({
    session: fc.nat(6),
    kind: fc.constantFrom("token", "chunk", "drop", "next", "next"),
  });
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 200 }),
      fc.boolean(),
      (events, shares) => {
        const turns = new Turns<Turn & { id: number }>(shares ? FREE : OFF);
        const waiting = new Map<number, number[]>();
        /** By session: chunks since its token began to wait. */
        const passed = new Map<number, number>();
        let id = 0;
        const next = (): boolean => {
          const group = turns.next();
          for (const { session, id: got } of group)
            assert.equal(waiting.get(session)?.shift(), got);
          if (group.length > 1) assert.ok(group.every((t) => t.rows === 1));
          for (const { session } of group) passed.delete(session);
          if (group[0] !== undefined && group[0].rows > 1)
            for (const [session, count] of passed) {
              assert.ok(count < 1, `session ${session} waits for two chunks`);
              passed.set(session, count + 1);
            }
          return group.length > 0;
        };
        for (const { session, kind } of events) {
          if (kind === "next") next();
          else if (kind === "drop") {
            turns.drop(session);
            waiting.delete(session);
            passed.delete(session);
          } else {
            const ids = waiting.get(session) ?? [];
            if (ids.length === 0 && kind === "token") passed.set(session, 0);
            waiting.set(session, [...ids, id]);
            const rows = kind === "token" ? 1 : 64;
            turns.add({ session, sequence: session, rows, id: id++ });
          }
          const total = [...waiting.values()].reduce((n, q) => n + q.length, 0);
          assert.equal(turns.size, total);
        }
        while (next());
        assert.ok([...waiting.values()].every((ids) => ids.length === 0));
        assert.equal(turns.size, 0);
      },
    ),
  );
});

test("it tells whether a token or a chunk goes next", () => {
  const turns = of(OFF, turn(2, 64), turn(2, 64));
  assert.equal(turns.hasToken, false);
  turns.next();
  turns.add(turn(0));
  assert.equal(turns.hasToken, true);
  turns.next();
  assert.equal(turns.hasToken, false, "the second chunk is next");
});
