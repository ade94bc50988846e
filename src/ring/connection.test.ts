/** Data connections over loopback: frames of every length both ways at once, order, a reader that is slow, deadlines, lost peers. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import {
  hex,
  keyPair,
  Place,
  recorded,
} from "../../test/support/data-connections.ts";
import { DataConnection, MAX_FRAME_BYTES } from "./index.ts";

const MIB = 1024 * 1024;

test("frames of 0 bytes to 16 MiB arrive as they are and in order, both ways at once", () => {
  using place = new Place();
  const [dialer, listener] = place.pair();
  const lengths = [
    0,
    1,
    7,
    8,
    15,
    16,
    17,
    31,
    4096,
    4128,
    16_384,
    65_515,
    65_516,
    65_517,
    65_536,
    65_537,
    MIB,
    0,
    3,
    16 * MIB,
    MAX_FRAME_BYTES,
    5,
  ];
  const frames = lengths.map((length) => randomBytes(length));
  const back = lengths.toReversed().map((length) => randomBytes(length));
  for (const [i, frame] of frames.entries()) {
    dialer.connection.send([frame]);
    listener.connection.send([back[i]!]);
    // Both wait for the other to read: neither may stand still because it writes.
    place.until(
      () =>
        dialer.connection.queuedBytes + listener.connection.queuedBytes <
        40 * MIB,
    );
  }
  place.until(
    () =>
      listener.frames.length === frames.length &&
      dialer.frames.length === back.length,
  );
  for (const [i, frame] of frames.entries()) {
    assert.ok(frame.equals(listener.frames[i]!), `${frame.length} bytes`);
    assert.ok(back[i]!.equals(dialer.frames[i]!), `${back[i]!.length} back`);
  }
  assert.equal(dialer.connection.queuedBytes, 0);
});

test("a frame of several parts arrives as one, at a multiple of 8, whatever lies before it", () => {
  using place = new Place();
  const [dialer, listener] = place.pair();
  const whole = randomBytes(1000);
  const offsets: number[] = [];
  listener.connection.onFrame = (frame) => {
    offsets.push(frame.byteOffset % 8);
    listener.frames.push(Buffer.from(frame));
  };
  for (const cuts of [[32], [0, 32], [1, 2, 3], [32, 32, 500], [15, 16, 31]])
    dialer.connection.send(
      [0, ...cuts].map((cut, i) =>
        whole.subarray(cut, cuts[i] ?? whole.length),
      ),
    );
  place.until(() => listener.frames.length === 5);
  for (const frame of listener.frames) assert.ok(frame.equals(whole));
  assert.deepEqual(offsets, [0, 0, 0, 0, 0]);
});

test("frames that are held go when they are released, in order and together", () => {
  using place = new Place();
  const [dialer, listener] = place.pair();
  const rows = Array.from({ length: 8 }, () => randomBytes(4128));
  dialer.connection.hold();
  for (const row of rows) dialer.connection.send([row]);
  assert.ok(dialer.connection.queuedBytes > 8 * 4128, "nothing went out");
  listener.connection.send([Buffer.from("back")]);
  place.until(() => dialer.frames.length === 1);
  assert.equal(listener.frames.length, 0);
  dialer.connection.release();
  assert.equal(dialer.connection.queuedBytes, 0);
  place.until(() => listener.frames.length > 0);
  assert.deepEqual(listener.frames, rows, "one read has all of them");
  dialer.connection.send([Buffer.from("next")]);
  place.until(() => listener.frames.length === 9);
});

test("a connection that ends while frames are held ends as usual", () => {
  using place = new Place();
  const [dialer, listener] = place.pair();
  dialer.connection.hold();
  dialer.connection.send([randomBytes(100)]);
  dialer.connection.close();
  dialer.connection.release();
  assert.equal(dialer.connection.isOpen, false);
  place.until(() => !listener.connection.isOpen);
  assert.equal(listener.frames.length, 0);
});

test("frames sent before the connection is open arrive after it is", () => {
  using place = new Place();
  const keys = keyPair();
  place.expected.set(hex(keys.id), keys.listener);
  const dialer = place.dial(keys.id, keys.dialer);
  const order: string[] = [];
  dialer.connection.onOpen = () => order.push("open");
  dialer.connection.send([Buffer.from("early")]);
  assert.equal(dialer.connection.isOpen, false);
  place.until(() => place.accepted.get(hex(keys.id))?.frames.length === 1);
  const listener = place.accepted.get(hex(keys.id))!;
  assert.equal(listener.frames[0]!.toString(), "early");
  dialer.connection.onFrame = (frame) =>
    order.push(Buffer.from(frame).toString());
  listener.connection.send([Buffer.from("late")]);
  place.until(() => order.length === 2);
  assert.deepEqual(order, ["open", "late"]);
});

test("a reader that is slow makes frames wait, and loses none of them", () => {
  using place = new Place();
  using slow = new Place();
  const keys = keyPair();
  slow.expected.set(hex(keys.id), keys.listener);
  const dialer = place.dial(keys.id, keys.dialer, slow.listener.port);
  place.until(() => {
    slow.poller.wait(0);
    return dialer.connection.isOpen;
  });
  const frame = randomBytes(MIB);
  for (let i = 0; i < 40; i++) dialer.connection.send([frame]);
  place.poller.wait(0);
  const { queuedBytes } = dialer.connection;
  assert.ok(queuedBytes > 20 * MIB, `${queuedBytes} bytes wait`);
  const reader = slow.accepted.get(hex(keys.id))!;
  place.until(() => {
    slow.poller.wait(0);
    return reader.frames.length === 40;
  });
  assert.ok(reader.frames.every((got) => got.equals(frame)));
  assert.equal(dialer.connection.queuedBytes, 0);
  assert.equal(dialer.error, undefined);
});

test("more than 64 MiB that wait end the connection", () => {
  using place = new Place();
  using slow = new Place();
  const keys = keyPair();
  slow.expected.set(hex(keys.id), keys.listener);
  const dialer = place.dial(keys.id, keys.dialer, slow.listener.port);
  place.until(() => {
    slow.poller.wait(0);
    return dialer.connection.isOpen;
  });
  const frame = randomBytes(16 * MIB);
  for (let i = 0; i < 6; i++) {
    dialer.connection.send([frame]);
    assert.ok(dialer.connection.queuedBytes <= 64 * MIB);
  }
  assert.equal(dialer.error, undefined, "not from inside send");
  place.poller.wait(0);
  assert.ok(isShoalError(dialer.error, "RING_CONGESTED"));
  assert.equal(dialer.connection.isOpen, false);
  dialer.connection.send([frame]);
});

test("the other side's end is noticed, and only once", () => {
  using place = new Place();
  const [dialer, listener] = place.pair();
  dialer.connection.close();
  place.until(() => listener.error !== undefined);
  assert.ok(isShoalError(listener.error, "RING_CLOSED"));
  listener.connection.send([Buffer.alloc(10)]);
  listener.connection.close();
  place.poller.wait(0);
  assert.equal(dialer.error, undefined, "closed by its owner");
});

test("a port that nobody listens on and a host that is no address are unreachable", () => {
  using place = new Place();
  const gone = new Place();
  const { port } = gone.listener;
  gone[Symbol.dispose]();
  const { id, dialer: keys } = keyPair();
  const refused = place.dial(id, keys, port);
  place.until(() => refused.error !== undefined);
  assert.ok(isShoalError(refused.error, "RING_UNREACHABLE"));

  const { poller } = place;
  const timeoutMs = 1000;
  const end = recorded(
    DataConnection.dial({
      host: "a.example",
      port,
      id,
      keys,
      poller,
      timeoutMs,
    }),
  );
  assert.equal(end.error, undefined, "not from inside dial");
  poller.wait(0);
  assert.ok(isShoalError(end.error, "RING_UNREACHABLE"));
});

test("a dialer gives up on a listener that never answers", () => {
  using place = new Place();
  using silent = new Place();
  const { id, dialer: keys } = keyPair();
  const end = place.dial(id, keys, silent.listener.port);
  end.connection.tick(50_000);
  place.poller.wait(50);
  end.connection.tick(50_999);
  place.poller.wait(0);
  assert.equal(end.error, undefined);
  end.connection.tick(51_000);
  place.poller.wait(0);
  assert.ok(isShoalError(end.error, "RING_UNAUTHENTICATED"));
});

test("a connection closed inside its own handler ends quietly, with frames still to come", () => {
  using place = new Place();
  const [dialer, listener] = place.pair();
  let frames = 0;
  listener.connection.onFrame = () => {
    frames++;
    listener.connection.close();
  };
  for (let i = 0; i < 5; i++) dialer.connection.send([Buffer.alloc(100)]);
  place.until(() => dialer.error !== undefined);
  assert.equal(frames, 1);
  assert.equal(listener.error, undefined);
});
