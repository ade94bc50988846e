import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { PiecePicker } from "./piece-picker.ts";
import { PieceSet } from "../store/index.ts";

function pickerOf(
  size: number,
  have: readonly number[] = [],
  seed = 1,
): PiecePicker {
  const set = new PieceSet(size);
  for (const piece of have) set.add(piece);
  const random = new Random(seed);
  return new PiecePicker(set, () => random.next() / 2 ** 32);
}

const any = (): boolean => true;

test("each missing piece is taken once", () => {
  const picker = pickerOf(50, [0, 7, 49]);
  const taken: number[] = [];
  for (let p = picker.take(any); p !== undefined; p = picker.take(any))
    taken.push(p);
  assert.equal(taken.length, 47);
  assert.equal(new Set([...taken, 0, 7, 49]).size, 50);
  assert.equal(picker.openCount, 0);
});

test("the rarest piece of the source comes first", () => {
  const picker = pickerOf(4);
  // Held by 3, 1, 2 and 4 sources.
  for (const [piece, holders] of [3, 1, 2, 4].entries())
    for (let i = 0; i < holders; i++) picker.change(piece, 1);
  assert.equal(
    picker.take((p) => p !== 1),
    2,
  );
  assert.equal(picker.take(any), 1);
  // One more source has it, two fewer have it.
  picker.change(0, 1);
  picker.change(3, -1);
  picker.change(3, -1);
  assert.equal(picker.take(any), 3);
  assert.equal(picker.take(any), 0);
});

test("a piece nobody has does not hide the rarest that somebody has", () => {
  const picker = pickerOf(3);
  picker.change(1, 1);
  picker.change(1, 1);
  picker.change(2, 1);
  assert.equal(
    picker.take((p) => p > 0),
    2,
  );
});

test("ties are broken at random: downloaders that start together differ", () => {
  const firsts = Array.from({ length: 20 }, (_, seed) =>
    pickerOf(1000, [], seed).take(any),
  );
  assert.ok(new Set(firsts).size > 15);
});

test("a returned piece can be taken again, one that arrived otherwise cannot", () => {
  const picker = pickerOf(2);
  const first = picker.take(any)!;
  picker.putBack(first);
  picker.putBack(first);
  assert.equal(picker.openCount, 2);
  picker.remove(first);
  picker.remove(first);
  assert.equal(picker.take(any), 1 - first);
  assert.equal(picker.take(any), undefined);
});

test("nothing is lost over thousands of random moves", () => {
  const size = 200;
  const picker = pickerOf(size);
  const random = new Random(7);
  const out = new Set<number>();
  for (let i = 0; i < 20_000; i++) {
    const piece = random.below(size);
    switch (random.below(4)) {
      case 0: {
        const has = (p: number): boolean => p % 3 === piece % 3;
        const taken = picker.take(has);
        if (taken === undefined) break;
        assert.ok(has(taken) && !out.has(taken));
        out.add(taken);
        break;
      }
      case 1:
        picker.putBack(piece);
        out.delete(piece);
        break;
      case 2:
        picker.change(piece, 1);
        break;
      default:
        picker.change(piece, -1);
    }
    assert.equal(picker.openCount, size - out.size);
  }
});
