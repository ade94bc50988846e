import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { ShoalError } from "../lib/index.ts";
import { Admission, type Capacity } from "./admission.ts";

const ended = new AbortController();
const never = ended.signal;
after(() => ended.abort()); // whoever still waits
const places = (sessions: number): Capacity => ({ sessions, tokens: 1 << 20 });

test("as many enter as there are places; the next waits until one leaves", async () => {
  const admission = new Admission();
  const leave = await admission.enter(places(2), 1, never);
  await admission.enter(places(2), 1, never);
  let entered = false;
  const third = admission.enter(places(2), 1, never).then((l) => {
    entered = true;
    return l;
  });
  await new Promise(setImmediate);
  assert.equal(entered, false);
  leave();
  leave(); // a place is given back once
  await third;
  assert.equal(admission.active, 2);
});

test("waiting requests enter in order", async () => {
  const admission = new Admission();
  let leave = await admission.enter(places(1), 1, never);
  const order: number[] = [];
  const waiting = [1, 2, 3].map(async (n) => {
    const mine = await admission.enter(places(1), 1, never);
    order.push(n);
    return mine;
  });
  for (const next of waiting) {
    leave();
    leave = await next;
  }
  assert.deepEqual(order, [1, 2, 3]);
});

test("past the queue's bound the answer is BUSY at once", async () => {
  const admission = new Admission({ maxWaiting: 1 });
  await admission.enter(places(1), 1, never);
  const waiting = admission.enter(places(1), 1, never);
  waiting.catch(() => {});
  await assert.rejects(admission.enter(places(1), 1, never), { code: "BUSY" });
});

test("a request that waits too long gets BUSY and leaves the queue", async () => {
  const admission = new Admission({ maxWaiting: 1, waitTimeoutMs: 10 });
  const leave = await admission.enter(places(1), 1, never);
  await assert.rejects(admission.enter(places(1), 1, never), { code: "BUSY" });
  leave();
  assert.equal(admission.active, 0);
  await admission.enter(places(1), 1, never);
});

test("a request that leaves while waiting leaves no hole", async () => {
  const admission = new Admission();
  const leave = await admission.enter(places(1), 1, never);
  const gone = new AbortController();
  const waiting = admission.enter(places(1), 1, gone.signal);
  const next = admission.enter(places(1), 1, never);
  gone.abort();
  await assert.rejects(waiting);
  leave();
  (await next)();
  assert.equal(admission.active, 0);
});

test("sessions enter while their tokens fit: many short ones where a few long ones do", async () => {
  const capacity = { sessions: 64, tokens: 4_096 };
  const long = new Admission({ maxWaiting: 0 });
  for (let i = 0; i < 4; i++) await long.enter(capacity, 1_024, never);
  await assert.rejects(long.enter(capacity, 1, never), { code: "BUSY" });
  const short = new Admission({ maxWaiting: 0 });
  for (let i = 0; i < 16; i++) await short.enter(capacity, 200, never);
  await assert.rejects(short.enter(capacity, 200, never), { code: "BUSY" });
});

test("a long session waits until enough of others' tokens are free, and a shorter one does not pass it", async () => {
  const capacity = { sessions: 64, tokens: 1_024 };
  const admission = new Admission();
  const leave = [
    await admission.enter(capacity, 512, never),
    await admission.enter(capacity, 256, never),
  ];
  const order: string[] = [];
  const entered = (name: string) => (left: () => void) => {
    order.push(name);
    return left;
  };
  const long = admission.enter(capacity, 1_024, never).then(entered("long"));
  const short = admission.enter(capacity, 1, never).then(entered("short"));
  leave[0]?.();
  await new Promise(setImmediate);
  assert.deepEqual(order, []);
  leave[1]?.();
  (await long)();
  (await short)();
  assert.deepEqual(order, ["long", "short"]);
  assert.equal(admission.active, 0);
});

test("when a long session gives up, a short one behind it enters", async () => {
  const capacity = { sessions: 64, tokens: 1_024 };
  const admission = new Admission();
  await admission.enter(capacity, 512, never);
  const gone = new AbortController();
  const long = admission.enter(capacity, 1_024, gone.signal);
  const short = admission.enter(capacity, 256, never);
  gone.abort();
  await assert.rejects(long);
  (await short)();
  assert.equal(admission.active, 1);
});

test("flows take turns by the tokens that were computed for them, not by how many they ask", async () => {
  const admission = new Admission();
  const order: string[] = [];
  let leave = await admission.enter(places(1), 1, never, "busy");
  const ask = (flow: string): Promise<() => void> =>
    admission.enter(places(1), 1, never, flow).then((left) => {
      order.push(flow);
      return left;
    });
  const busy = ["busy", "busy", "busy"].map(ask);
  const other = ["other", "other"].map(ask);
  const tokens: Record<string, number> = { busy: 30, other: 10 };
  while (busy.length + other.length > 0) {
    leave();
    await new Promise(setImmediate);
    const flow = order.at(-1)!;
    admission.charge(flow, tokens[flow]!);
    leave = await (flow === "busy" ? busy : other).shift()!;
  }
  assert.deepEqual(order, ["busy", "other", "other", "busy", "busy"]);
});

test("in a full queue, one with fewer waiting takes the last place of the one with the most, which gets BUSY", async () => {
  const admission = new Admission({ maxWaiting: 4 });
  const leave = await admission.enter(places(1), 1, never, "many");
  const outcomes: string[] = [];
  const ask = (flow: string): void => {
    const name = `${flow} ${outcomes.length}`;
    const index = outcomes.push(name) - 1;
    admission.enter(places(1), 1, never, flow).then(
      () => (outcomes[index] += " entered"),
      (error: ShoalError) => (outcomes[index] += ` ${error.code}`),
    );
  };
  for (let i = 0; i < 5; i++) ask("many");
  ask("few");
  ask("few");
  ask("few");
  await new Promise(setImmediate);
  assert.deepEqual(outcomes, [
    "many 0",
    "many 1",
    "many 2 BUSY",
    "many 3 BUSY",
    "many 4 BUSY",
    "few 5",
    "few 6",
    "few 7 BUSY",
  ]);
  leave();
  await new Promise(setImmediate);
  assert.equal(outcomes[0], "many 0 entered");
  assert.equal(admission.active, 1);
});

test("who finds no room is told to come again when those that wait have had their turn", async () => {
  let nowMs = 0;
  const admission = new Admission({ maxWaiting: 4, now: () => nowMs });
  const first = await admission.enter(places(2), 1, never);
  const second = await admission.enter(places(2), 1, never);
  nowMs = 5_000;
  first();
  second();
  for (let i = 0; i < 6; i++)
    admission.enter(places(2), 1, never).catch(() => {});
  await assert.rejects(admission.enter(places(2), 1, never), {
    code: "BUSY",
    details: { active: 2, sessions: 2, waiting: 4, retryAfterMs: 10_000 },
  });
});

test("when the cluster grows, those that wait enter", async () => {
  const admission = new Admission();
  await admission.enter(places(1), 1, never);
  const waiting = admission.enter(places(1), 1, never);
  admission.resize(places(2));
  await waiting;
  assert.equal(admission.active, 2);
});
