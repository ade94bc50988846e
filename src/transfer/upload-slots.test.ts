import assert from "node:assert/strict";
import { test } from "node:test";
import { type SlotHolder, UploadSlots } from "./upload-slots.ts";

class Holder implements SlotHolder {
  readonly told: string[] = [];
  onServed(): void {
    this.told.push("served");
  }
  onWaiting(ahead: number): void {
    this.told.push(`waits behind ${ahead}`);
  }
}

function slotsOf(slots: number): { slots: UploadSlots; clock: { ms: number } } {
  const clock = { ms: 0 };
  return {
    clock,
    slots: new UploadSlots({
      slots,
      turnMs: 1_000,
      clock: { now: () => clock.ms },
    }),
  };
}

test("a fixed number is served, the others wait in line", () => {
  const { slots } = slotsOf(2);
  const [a, b, c, d] = [new Holder(), new Holder(), new Holder(), new Holder()];
  assert.ok(slots.ask(a) && slots.ask(b) && slots.ask(a));
  assert.ok(!slots.ask(c) && !slots.ask(d) && !slots.ask(c));
  assert.deepEqual(c.told, ["waits behind 0"]);
  assert.deepEqual(d.told, ["waits behind 1"]);
  slots.release(a);
  assert.equal(c.told.at(-1), "served");
  assert.equal(slots.served, 2);
  // A waiting peer may leave too.
  slots.release(d);
  slots.release(b);
  assert.equal(slots.waiting, 0);
  assert.deepEqual(d.told, ["waits behind 1"]);
});

test("after its turn a peer makes room for one that waits, and gets another turn", () => {
  const { slots, clock } = slotsOf(1);
  const [a, b] = [new Holder(), new Holder()];
  slots.ask(a);
  clock.ms = 5_000;
  assert.equal(slots.yieldTurn(a), false, "nobody waits");
  slots.ask(b);
  assert.equal(slots.yieldTurn(a), true);
  assert.deepEqual(b.told, ["waits behind 0", "served"]);
  assert.deepEqual(a.told, ["waits behind 0"]);
  assert.equal(slots.yieldTurn(b), false, "its turn has just begun");
  clock.ms = 6_000;
  assert.equal(slots.yieldTurn(b), true);
  assert.equal(a.told.at(-1), "served");
});

test("fewer slots take effect between two pieces, more take effect at once", () => {
  const { slots } = slotsOf(2);
  const [a, b] = [new Holder(), new Holder()];
  slots.ask(a);
  slots.ask(b);
  slots.slots = 1;
  assert.equal(slots.yieldTurn(a), true);
  assert.equal(slots.yieldTurn(b), false);
  slots.slots = 2;
  assert.equal(a.told.at(-1), "served");
});
