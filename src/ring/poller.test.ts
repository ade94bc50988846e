/** poll(2) over socket pairs and TCP sockets: handlers, timeouts, changes while handlers run. Also reading and writing without waiting. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Poller, receive, transmit } from "./index.ts";
import { socketPair } from "../../test/support/socket-pair.ts";

test("a handler runs when there is something to read, and only then", () => {
  using pair = socketPair();
  const poller = new Poller();
  let calls = 0;
  poller.watch(pair.a, () => calls++);
  assert.equal(poller.wait(0), 0);
  assert.equal(transmit(pair.b, Buffer.from("hello"), 0, 5), 5);
  assert.equal(poller.wait(-1), 1);
  assert.equal(calls, 1);
  poller.unwatch(pair.a);
  assert.equal(poller.wait(0), 0);
  assert.equal(calls, 1);
});

test("wait ends after its timeout", () => {
  const poller = new Poller();
  const start = performance.now();
  assert.equal(poller.wait(20), 0);
  const took = performance.now() - start;
  assert.ok(took >= 19, `${took} ms`);
});

test("receive gives bytes at their place, -1 where nothing is there and 0 at the end", () => {
  const pair = socketPair();
  const whole = Buffer.alloc(256);
  const into = whole.subarray(100, 150);
  assert.equal(receive(pair.a, into, 0, 50), -1);
  transmit(pair.b, Buffer.from("..abc").subarray(1), 1, 3);
  assert.equal(receive(pair.a, into, 7, 43), 3);
  assert.equal(whole.toString("latin1", 107, 110), "abc");
  assert.equal(
    whole.findIndex((byte) => byte !== 0),
    107,
  );
  assert.throws(() => receive(pair.a, into, 10, 41), RangeError);
  pair.closeB();
  assert.equal(receive(pair.a, into, 0, 50), 0);
  pair[Symbol.dispose]();
});

test("transmit says -1 when the other side does not read, and writability comes back", () => {
  using pair = socketPair();
  const bytes = Buffer.alloc(1 << 20, 7);
  let sent = 0;
  for (;;) {
    const n = transmit(pair.a, bytes, 0, bytes.length);
    if (n === -1) break;
    assert.ok(n > 0);
    sent += n;
  }
  assert.ok(sent > 0);
  const poller = new Poller();
  let writable = 0;
  poller.whenWritable(pair.a, () => writable++);
  assert.equal(poller.wait(0), 0);
  for (let got = 0; got < sent;) got += receive(pair.b, bytes, 0, bytes.length);
  assert.equal(poller.wait(1000), 1);
  assert.equal(writable, 1);
  poller.whenWritable(pair.a, undefined);
  assert.equal(poller.wait(0), 0);
});

test("handlers may watch and unwatch anything while others are still to run", () => {
  using first = socketPair();
  using second = socketPair();
  using third = socketPair();
  const poller = new Poller();
  const ran: string[] = [];
  poller.watch(first.a, () => {
    ran.push("first");
    poller.unwatch(first.a);
    poller.unwatch(second.a);
    poller.watch(third.a, () => ran.push("third"));
  });
  poller.watch(second.a, () => ran.push("second"));
  for (const pair of [first, second, third])
    transmit(pair.b, Buffer.from("x"), 0, 1);
  assert.equal(poller.wait(0), 2);
  assert.deepEqual(ran, ["first"]);
  assert.equal(poller.wait(0), 1);
  assert.deepEqual(ran, ["first", "third"]);
});

test("a hundred descriptors, removed in any order, keep their handlers", () => {
  const pairs = Array.from({ length: 100 }, () => socketPair());
  const poller = new Poller();
  const ran = new Set<number>();
  pairs.forEach((pair, i) => poller.watch(pair.a, () => ran.add(i)));
  const gone = new Set([0, 1, 2, 50, 51, 98, 99, 33]);
  for (const i of gone) poller.unwatch(pairs[i]!.a);
  for (const pair of pairs) transmit(pair.b, Buffer.from("x"), 0, 1);
  assert.equal(poller.wait(0), 92);
  assert.deepEqual(
    [...ran].sort((a, b) => a - b),
    pairs.map((_, i) => i).filter((i) => !gone.has(i)),
  );
  for (const i of gone) poller.watch(pairs[i]!.a, () => ran.add(i));
  assert.equal(poller.wait(0), 100);
  assert.equal(ran.size, 100);
  for (const pair of pairs) pair[Symbol.dispose]();
});

test("what is to run soon runs in the next wait, which does not sleep", () => {
  const poller = new Poller();
  const ran: number[] = [];
  poller.soon(() => {
    ran.push(1);
    poller.soon(() => ran.push(2));
  });
  assert.equal(poller.wait(-1), 1);
  assert.deepEqual(ran, [1]);
  assert.equal(poller.wait(-1), 1);
  assert.deepEqual(ran, [1, 2]);
  assert.equal(poller.wait(0), 0);
});

test("a peer that hangs up makes its socket readable", () => {
  const pair = socketPair();
  const poller = new Poller();
  let end = 1;
  poller.watch(pair.a, () => {
    end = receive(pair.a, Buffer.alloc(10), 0, 10);
  });
  pair.closeB();
  assert.equal(poller.wait(1000), 1);
  assert.equal(end, 0);
  pair[Symbol.dispose]();
});
