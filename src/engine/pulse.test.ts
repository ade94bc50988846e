import assert from "node:assert/strict";
import { test } from "node:test";
import { Pulse, PULSE_DEFAULTS } from "./pulse.ts";
import { vitalsOf } from "./vitals.ts";

const { everyMs } = PULSE_DEFAULTS;

interface Life {
  /** Of its main thread, at each beat. */
  state: (beat: number) => string;
  /** What it has computed by each beat. */
  used?: (beat: number) => number;
  owes?: boolean;
  /** Between two beats. */
  everyMs?: number;
}

/** When a fault is found, in ms since the first beat; undefined: not within ten minutes. */
function faultOf(life: Life): [fault: string, afterMs: number] | undefined {
  const { state, used = () => 0, owes = true } = life;
  const step = life.everyMs ?? everyMs;
  const pulse = new Pulse(0);
  for (let beat = 1; beat * step < 600_000; beat++) {
    const vitals = { state: state(beat), used: `${used(beat)}` };
    const { fault } = pulse.beat(beat * step, vitals, owes);
    if (fault !== undefined) return [fault, (beat - 1) * step];
  }
  return undefined;
}

test("a stopped process is found in seconds, whether it owes something or not", () => {
  for (const owes of [true, false])
    assert.deepEqual(faultOf({ state: () => "T", owes }), ["stopped", 3_000]);
});

test("one that sleeps, computes nothing and owes an answer is stuck", () => {
  assert.deepEqual(faultOf({ state: () => "S" }), ["stuck", 10_000]);
});

for (const [name, life] of Object.entries<Life>({
  "it waits for work": { state: () => "S", owes: false },
  "it computes, by whatever little": { state: () => "S", used: (i) => i },
  "it wants to compute and gets no processor": { state: () => "R" },
  "it waits for a disk": { state: () => "D" },
  "a debugger holds it": { state: () => "t" },
  "a program limits it by stopping it again and again, and each beat finds it stopped":
    { state: () => "T", used: (i) => i },
  "it is stopped for less than the time, again and again": {
    state: (i) => (i % 3 === 0 ? "S" : "T"),
  },
}))
  test(`nothing is wrong where ${name}`, () => {
    assert.equal(faultOf(life), undefined);
  });

test("a node that slept, or was stopped together with its engine, finds nothing in the first moments after", () => {
  for (const state of ["T", "S"]) {
    const pulse = new Pulse(0);
    const vitals = { state, used: "1" };
    pulse.beat(everyMs, vitals, true);
    const late = pulse.beat(everyMs + 3_600_000, vitals, true);
    assert.deepEqual(late, { elapsedMs: 2 * everyMs, fault: undefined });
    const awake = { state: "S", used: "2" };
    const next = pulse.beat(everyMs * 2 + 3_600_000, awake, true);
    assert.equal(next.fault, undefined);
  }
});

test("a node that is late at every beat takes longer, and finds it", () => {
  assert.deepEqual(faultOf({ state: () => "T", everyMs: 5_000 }), [
    "stopped",
    15_000,
  ]);
});

test("where the system tells nothing there is no fault", () => {
  const pulse = new Pulse(0);
  for (let i = 1; i < 600; i++) {
    const { fault, elapsedMs } = pulse.beat(i * everyMs, undefined, true);
    assert.deepEqual([fault, elapsedMs], [undefined, everyMs]);
  }
});

test(
  "Linux tells of a process what it does",
  { skip: process.platform !== "linux" },
  () => {
    const before = vitalsOf(process.pid);
    assert.equal(before?.state, "R");
    const untilMs = performance.now() + 100;
    while (performance.now() < untilMs); // computes
    assert.notEqual(vitalsOf(process.pid)?.used, before.used);
    assert.equal(vitalsOf(0x7fff_fffe), undefined);
  },
);
