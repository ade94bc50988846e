import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../lib/index.ts";
import { ByteRate, RateMeter } from "./byte-rate.ts";

/** Advances only on command. */
class ClockDouble implements Clock {
  ms = 1_000_000;
  now(): number {
    return this.ms;
  }
  after(): () => void {
    return () => {};
  }
}

test("over any time no more passes than the limit and a burst of a quarter of a second", () => {
  const clock = new ClockDouble();
  const limit = new ByteRate(clock, 1_000_000);
  let passed = 0;
  for (let ms = 0; ms < 10_000; ms += 10) {
    while (limit.delayMs() === 0) {
      limit.take(30_000);
      passed += 30_000;
    }
    clock.ms += 10;
  }
  assert.ok(passed >= 9_900_000 && passed <= 10_300_000, `${passed}`);
});

test("more than a second's worth passes at once and is paid for afterwards", () => {
  const clock = new ClockDouble();
  const limit = new ByteRate(clock, 100_000);
  assert.equal(limit.delayMs(), 0);
  limit.take(1_000_000);
  assert.equal(limit.delayMs(), 10_000);
  clock.ms += 9_999;
  assert.equal(limit.delayMs(), 1);
  clock.ms += 1;
  assert.equal(limit.delayMs(), 0);
});

test("with its own burst size, that much is available at the start and after a pause", () => {
  const clock = new ClockDouble();
  const limit = new ByteRate(clock, 1_000, 50_000);
  for (const pauseMs of [0, 3_600_000]) {
    clock.ms += pauseMs;
    assert.equal(limit.delayMs(), 0);
    limit.take(50_000);
    assert.equal(limit.delayMs(), 0);
    limit.take(1_000);
    assert.equal(limit.delayMs(), 1_000);
  }
});

test("a pause saves up no more than a quarter of a second", () => {
  const clock = new ClockDouble();
  const limit = new ByteRate(clock, 1_000_000);
  clock.ms += 3_600_000;
  limit.delayMs();
  limit.take(250_000);
  assert.equal(limit.delayMs(), 0);
  limit.take(1_000);
  assert.equal(limit.delayMs(), 1);
});

test("without a limit nothing waits, and a new limit applies at once", () => {
  const clock = new ClockDouble();
  const limit = new ByteRate(clock, undefined);
  limit.take(1e12);
  assert.equal(limit.delayMs(), 0);
  limit.bytesPerSecond = 1_000;
  assert.equal(limit.delayMs(), 0);
  limit.take(1_000);
  assert.equal(limit.delayMs(), 1_000);
  limit.bytesPerSecond = undefined;
  assert.equal(limit.delayMs(), 0);
});

test("waiting callers are served in order, and one that gives up delays nobody", async () => {
  const clock = new ClockDouble();
  const limit = new ByteRate(clock, 1_000_000);
  const done: number[] = [];
  const never = new AbortController().signal;
  limit.take(20_000);
  const impatient = new AbortController();
  const waiting = [1, 2, 3].map(async (n) => {
    await limit.acquire(10_000, n === 2 ? impatient.signal : never);
    done.push(n);
  });
  impatient.abort();
  clock.ms += 60_000;
  await Promise.allSettled(waiting);
  assert.deepEqual(done, [1, 3]);
});

test("a steady flow is measured correctly from its first second on", () => {
  const clock = new ClockDouble();
  const meter = new RateMeter(clock);
  for (let i = 1; i <= 400; i++) {
    clock.ms += 50;
    meter.add(5_000);
    if (i % 20 !== 0) continue;
    const rate = meter.bytesPerSecond;
    assert.ok(rate > 95_000 && rate < 110_000, `${rate} after ${i * 50} ms`);
  }
  clock.ms += 30_000;
  assert.ok(meter.bytesPerSecond < 200);
  assert.equal(meter.totalBytes, 2_000_000);
});
