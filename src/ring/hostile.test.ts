/** What strangers, liars and damaged frames do to data connections: they end their own, and disturb no other. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import {
  hex,
  keyPair,
  Place,
  type End,
  type KeyPair,
} from "../../test/support/data-connections.ts";
import { Random } from "../../test/support/random.ts";
import {
  preface,
  RawListener,
  RawSocket,
  Sealer,
} from "../../test/support/raw-socket.ts";
import { isShoalError } from "../lib/index.ts";
import { MAX_DATA_FRAME_BYTES, MAX_STRANGERS } from "./defaults.ts";

/** A pair that must go on working whatever happens beside it. */
function bystander(place: Place): () => void {
  const [dialer, listener] = place.pair();
  return () => {
    const frames = [randomBytes(300), randomBytes(5000)];
    dialer.connection.send([frames[0]!]);
    listener.connection.send([frames[1]!]);
    place.until(
      () => listener.frames.length === 1 && dialer.frames.length === 1,
    );
    assert.ok(listener.frames.pop()!.equals(frames[0]!));
    assert.ok(dialer.frames.pop()!.equals(frames[1]!));
    assert.equal(dialer.error ?? listener.error, undefined);
  };
}

function expectedAt(place: Place): KeyPair {
  const keys = keyPair();
  place.expected.set(hex(keys.id), keys.listener);
  return keys;
}

/** A dialer whose bytes the test chooses, proven at `place`. */
function provenAt(place: Place): [RawSocket, Sealer, End] {
  const keys = expectedAt(place);
  const socket = RawSocket.dial(place.listener.port);
  const sealer = new Sealer(keys.dialer);
  socket.send(preface(keys.id), sealer.hello());
  place.until(() => place.accepted.has(hex(keys.id)));
  return [socket, sealer, place.accepted.get(hex(keys.id))!];
}

test("a stranger without the right beginning, id or key is closed, and nobody else", () => {
  const cases: Record<string, (place: Place) => Uint8Array[]> = {
    "another protocol": () => [Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    "another version": (place) => {
      const { id, dialer } = expectedAt(place);
      const bytes = Buffer.concat([preface(id), new Sealer(dialer).hello()]);
      bytes[7] = 2;
      return [bytes];
    },
    "an unknown id": () => {
      const { id, dialer } = keyPair();
      return [preface(id), new Sealer(dialer).hello()];
    },
    "another key": (place) => {
      const { id } = expectedAt(place);
      return [preface(id), new Sealer(keyPair().dialer).hello()];
    },
    "the listener's own keys": (place) => {
      const { id, listener } = expectedAt(place);
      return [preface(id), new Sealer(listener).hello()];
    },
    "a hello of another length": (place) => {
      const { id, dialer } = expectedAt(place);
      return [preface(id), new Sealer(dialer).seal(Buffer.alloc(9))];
    },
    "a hello that says something else": (place) => {
      const { id, dialer } = expectedAt(place);
      return [preface(id), new Sealer(dialer).seal(Buffer.alloc(8))];
    },
    "a hello with another number": (place) => {
      const { id, dialer } = expectedAt(place);
      const sealer = new Sealer(dialer);
      sealer.hello();
      return [preface(id), sealer.hello()];
    },
    "an id that was used": (place) => {
      const { id, dialer } = expectedAt(place);
      const first = place.dial(id, dialer);
      place.until(() => first.connection.isOpen);
      return [preface(id), new Sealer(dialer).hello()];
    },
  };
  for (const [name, bytesOf] of Object.entries(cases)) {
    using place = new Place();
    const works = bystander(place);
    const bytes = bytesOf(place);
    const opened = place.accepted.size;
    using socket = RawSocket.dial(place.listener.port);
    socket.send(...bytes);
    place.until(() => socket.isEnded);
    assert.equal(place.accepted.size, opened, name);
    assert.equal(place.listener.strangers, 0, name);
    works();
  }
});

test("one that says nothing, or not enough, is closed after 5 s", () => {
  using place = new Place();
  const works = bystander(place);
  const { id, dialer } = expectedAt(place);
  using silent = RawSocket.dial(place.listener.port);
  using slow = RawSocket.dial(place.listener.port);
  slow.send(preface(id), new Sealer(dialer).hello().subarray(0, 27));
  place.until(() => place.listener.strangers === 2);
  place.listener.tick(1_000);
  place.listener.tick(5_999);
  place.poller.wait(0);
  assert.equal(place.listener.strangers, 2);
  place.listener.tick(6_000);
  assert.equal(place.listener.strangers, 0);
  assert.ok(silent.isEnded && slow.isEnded);
  works();
});

test("the preface and the hello may arrive byte by byte", () => {
  using place = new Place();
  const { id, dialer } = expectedAt(place);
  using socket = RawSocket.dial(place.listener.port);
  for (const byte of Buffer.concat([preface(id), new Sealer(dialer).hello()])) {
    socket.send(Uint8Array.of(byte));
    place.poller.wait(1);
  }
  place.until(() => place.accepted.has(hex(id)));
});

test("of many strangers the oldest give way, so that an expected connection still opens", () => {
  using place = new Place();
  const works = bystander(place);
  const strangers = Array.from({ length: 60 }, () =>
    RawSocket.dial(place.listener.port),
  );
  place.until(() => strangers.filter((s) => s.isEnded).length === 28);
  assert.equal(place.listener.strangers, MAX_STRANGERS);
  place.pair();
  works();
  for (const stranger of strangers) stranger[Symbol.dispose]();
});

/** Frames 1 to 4 behind the hello, and what the peer makes of them; the number of them that may arrive. */
const TAMPERED: Record<string, [(frames: Buffer[]) => Buffer[], number]> = {
  "a changed body": [([a, b, c]) => [a!, flipped(b!, 10), c!], 1],
  "a changed tag": [([a, b]) => [a!, flipped(b!, b!.length - 1)], 1],
  "a longer length": [([a, b, c]) => [a!, flipped(b!, 0), c!], 1],
  "a frame repeated": [([a, b, c]) => [a!, b!, b!, c!], 2],
  "the hello repeated": [([a]) => [a!, a!], 1],
  "two frames swapped": [([a, b, c]) => [a!, c!, b!], 1],
  "a frame left out": [([a, , c, d]) => [a!, c!, d!], 1],
  "a frame cut and another behind it": [
    ([a, b, c, d]) => [a!, b!.subarray(0, 40), c!, d!],
    1,
  ],
  "a length beyond every frame": [([a]) => [a!, Buffer.alloc(4, 0xff)], 1],
  "a length just beyond the bound": [
    ([a]) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(MAX_DATA_FRAME_BYTES + 1);
      return [a!, length];
    },
    1,
  ],
  noise: [([a]) => [a!, randomBytes(3000)], 1],
};

function flipped(frame: Buffer, at: number): Buffer {
  const copy = Buffer.from(frame);
  copy[at] = copy[at]! ^ 1;
  return copy;
}

test("a frame changed, repeated, moved or left out ends that connection alone", () => {
  for (const [name, [tamper, arrive]] of Object.entries(TAMPERED)) {
    using place = new Place();
    const works = bystander(place);
    const [socket, sealer, victim] = provenAt(place);
    const bodies = [1, 2, 3, 4].map((i) => Buffer.alloc(100, i));
    socket.send(...tamper(bodies.map((body) => sealer.seal(body))));
    place.until(() => victim.error !== undefined);
    assert.ok(isShoalError(victim.error, "RING_UNAUTHENTICATED"), name);
    assert.deepEqual(victim.frames, bodies.slice(0, arrive), name);
    assert.ok(!victim.connection.isOpen);
    place.until(() => socket.isEnded);
    works();
    socket[Symbol.dispose]();
  }
});

test("a connection that ends inside a frame gives nothing of it", () => {
  using place = new Place();
  const works = bystander(place);
  const [socket, sealer, victim] = provenAt(place);
  const whole = Buffer.alloc(100, 1);
  socket.send(sealer.seal(whole), sealer.seal(whole).subarray(0, 119));
  place.until(() => victim.frames.length === 1);
  socket[Symbol.dispose]();
  place.until(() => victim.error !== undefined);
  assert.ok(isShoalError(victim.error, "RING_CLOSED"));
  assert.deepEqual(victim.frames, [whole]);
  works();
});

test("a dialer believes only a listener that has its keys", () => {
  const cases: Record<string, (keys: KeyPair) => Uint8Array[]> = {
    "another key": () => [new Sealer(keyPair().listener).hello()],
    "its own hello returned": ({ dialer }) => [new Sealer(dialer).hello()],
    "a frame that is no hello": ({ listener }) => [
      new Sealer(listener).seal(Buffer.alloc(8)),
    ],
    "a long frame first": ({ listener }) => [
      new Sealer(listener).seal(Buffer.alloc(5000)),
    ],
    "another protocol": () => [Buffer.from("HTTP/1.1 400 Bad Request\r\n")],
  };
  for (const [name, bytesOf] of Object.entries(cases)) {
    using place = new Place();
    const works = bystander(place);
    using liar = new RawListener();
    const keys = keyPair();
    const end = place.dial(keys.id, keys.dialer, liar.port);
    place.poller.wait(100);
    using socket = liar.accept();
    socket.send(...bytesOf(keys));
    place.until(() => end.error !== undefined);
    assert.ok(isShoalError(end.error, "RING_UNAUTHENTICATED"), name);
    assert.ok(!end.connection.isOpen && end.frames.length === 0, name);
    works();
  }
});

test("500 connections of random bytes and damaged frames: none is believed, all end", () => {
  const random = new Random(13, "sockets");
  using place = new Place();
  const works = bystander(place);
  for (let round = 0; round < 500; round++) {
    const keys = expectedAt(place);
    const sealer = new Sealer(keys.dialer);
    const body = Buffer.alloc(random.below(300), 5);
    const good = [preface(keys.id), sealer.hello(), sealer.seal(body)];
    const bytes = Buffer.concat([...good, sealer.seal(body)]);
    const damagedAt = random.below(bytes.length);
    bytes[damagedAt] = bytes[damagedAt]! ^ (1 + random.below(255));
    const rest = bytes.subarray(damagedAt + 1);
    for (let n = random.below(4); n > 0 && rest.length > 0; n--)
      rest[random.below(rest.length)] = random.below(256);
    const socket = RawSocket.dial(place.listener.port);
    for (let at = 0; at < bytes.length;) {
      const next = at + 1 + random.below(bytes.length);
      socket.send(bytes.subarray(at, next));
      place.poller.wait(0);
      at = next;
    }
    const proofBytes = good[0]!.length + good[1]!.length;
    if (damagedAt < proofBytes) {
      place.until(() => socket.isEnded);
      assert.equal(place.accepted.get(hex(keys.id)), undefined);
    } else {
      place.until(() => place.accepted.has(hex(keys.id)));
      const victim = place.accepted.get(hex(keys.id))!;
      const firstEnd = proofBytes + good[2]!.length;
      const start = damagedAt < firstEnd ? proofBytes : firstEnd;
      const claimed = bytes.readUInt32LE(start);
      const waits =
        claimed <= MAX_DATA_FRAME_BYTES && start + claimed + 20 > bytes.length;
      if (waits) socket.end();
      place.until(() => victim.error !== undefined);
      const code = waits ? "RING_CLOSED" : "RING_UNAUTHENTICATED";
      assert.ok(isShoalError(victim.error, code));
      assert.deepEqual(victim.frames, start === firstEnd ? [body] : []);
    }
    place.expected.delete(hex(keys.id));
    sealer[Symbol.dispose]();
    socket[Symbol.dispose]();
    if (round % 50 === 0) works();
  }
  works();
  assert.equal(place.listener.strangers, 0);
});
