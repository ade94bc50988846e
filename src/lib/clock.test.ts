/** A clock for durations: setting the system's clock does not move it, the machine's sleep does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { steadyClock, steadyNow } from "./clock.ts";

class Machine {
  wallMs = 1_800_000_000_000;
  awakeMs = 5_000;
  bootMs = 70_000;
  reads = 0;
  readonly now = steadyNow({
    wall: () => this.wallMs,
    awake: () => this.awakeMs,
    sinceBoot: () => {
      this.reads++;
      return this.bootMs;
    },
  });

  runs(ms: number): void {
    this.wallMs += ms;
    this.awakeMs += ms;
    this.bootMs += ms;
  }

  sleeps(ms: number): void {
    this.wallMs += ms;
    this.bootMs += ms;
  }
}

test("a steady clock begins at the time, and goes on as the machine runs", () => {
  const machine = new Machine();
  assert.equal(machine.now(), machine.wallMs);
  machine.runs(1_234);
  assert.equal(machine.now(), machine.wallMs);
  assert.equal(machine.reads, 1, "the slow source only where there is cause");
});

for (const byMs of [300_000, -300_000])
  test(`it does not move when the clock is set ${byMs > 0 ? "ahead" : "back"}`, () => {
    const machine = new Machine();
    const beforeMs = machine.now();
    machine.runs(1_000);
    machine.wallMs += byMs;
    machine.runs(1_000);
    assert.equal(machine.now() - beforeMs, 2_000);
    machine.wallMs -= byMs;
    assert.equal(machine.now() - beforeMs, 2_000);
  });

test("it counts the machine's sleep, at the first look after it, each time, and beside a clock that is set", () => {
  const machine = new Machine();
  const beforeMs = machine.now();
  machine.sleeps(60_000);
  assert.equal(machine.now() - beforeMs, 60_000);
  machine.runs(500);
  machine.sleeps(3_600_000);
  machine.wallMs -= 7_000;
  machine.runs(500);
  assert.equal(machine.now() - beforeMs, 3_661_000);
});

test("an adjustment by NTP in small steps is none of these", () => {
  const machine = new Machine();
  const beforeMs = machine.now();
  for (let i = 0; i < 100; i++) {
    machine.runs(1_000);
    machine.wallMs += 20;
    machine.now();
  }
  assert.equal(machine.now() - beforeMs, 100_000);
});

test("that of this process agrees with the time of this machine, and never goes back", () => {
  assert.ok(Math.abs(steadyClock.now() - Date.now()) < 60_000);
  let lastMs = 0;
  for (let i = 0; i < 10_000; i++) {
    const nowMs = steadyClock.now();
    assert.ok(nowMs >= lastMs);
    lastMs = nowMs;
  }
});
