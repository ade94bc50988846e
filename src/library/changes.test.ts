import assert from "node:assert/strict";
import { test } from "node:test";
import { changesOf } from "./changes.ts";

/** A number that changes by hand. */
class Source {
  value = 0;
  readonly listeners = new Set<() => void>();

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  set(value: number): void {
    this.value = value;
    for (const listener of this.listeners) listener();
  }
}

test("the present state comes at once, a slow reader gets the latest, and an abort ends it", async () => {
  const source = new Source();
  const ending = new AbortController();
  const read = (): number => source.value;
  const changes = changesOf(source.subscribe, read, ending.signal);
  assert.deepEqual(await changes.next(), { done: false, value: 0 });
  source.set(1);
  source.set(2);
  assert.deepEqual(await changes.next(), { done: false, value: 2 });
  const waiting = changes.next();
  source.set(3);
  assert.deepEqual(await waiting, { done: false, value: 3 });
  const last = changes.next();
  ending.abort();
  assert.deepEqual(await last, { done: true, value: undefined });
  assert.equal(source.listeners.size, 0);
});

test("a reader that leaves the loop is forgotten", async () => {
  const source = new Source();
  const { signal } = new AbortController();
  for await (const value of changesOf(
    source.subscribe,
    () => source.value,
    signal,
  )) {
    assert.equal(value, 0);
    break;
  }
  assert.equal(source.listeners.size, 0);
});
