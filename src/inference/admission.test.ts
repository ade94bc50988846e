import assert from "node:assert/strict";
import { test } from "node:test";
import { Admission, type Capacity } from "./admission.ts";

const never = new AbortController().signal;
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
  const waiting = admission.enter(places(1), 1, AbortSignal.timeout(10_000));
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
