import assert from "node:assert/strict";
import { test } from "node:test";
import { Admission } from "./admission.ts";

const never = new AbortController().signal;

test("as many enter as there are places; the next waits until one leaves", async () => {
  const admission = new Admission();
  const leave = await admission.enter(2, never);
  await admission.enter(2, never);
  let entered = false;
  const third = admission.enter(2, never).then((l) => {
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
  let leave = await admission.enter(1, never);
  const order: number[] = [];
  const waiting = [1, 2, 3].map(async (n) => {
    const mine = await admission.enter(1, never);
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
  await admission.enter(1, never);
  const waiting = admission.enter(1, AbortSignal.timeout(10_000));
  waiting.catch(() => {});
  await assert.rejects(admission.enter(1, never), { code: "BUSY" });
});

test("a request that waits too long gets BUSY and leaves the queue", async () => {
  const admission = new Admission({ maxWaiting: 1, waitTimeoutMs: 10 });
  const leave = await admission.enter(1, never);
  await assert.rejects(admission.enter(1, never), { code: "BUSY" });
  leave();
  assert.equal(admission.active, 0);
  await admission.enter(1, never);
});

test("a request that leaves while waiting leaves no hole", async () => {
  const admission = new Admission();
  const leave = await admission.enter(1, never);
  const gone = new AbortController();
  const waiting = admission.enter(1, gone.signal);
  const next = admission.enter(1, never);
  gone.abort();
  await assert.rejects(waiting);
  leave();
  (await next)();
  assert.equal(admission.active, 0);
});
