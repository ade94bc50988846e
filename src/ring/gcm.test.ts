/** Frames of data connections: the bytes of node:crypto's AES-256-GCM, and no frame opens that was changed, repeated, left out, moved or cut. */
import assert from "node:assert/strict";
import { createCipheriv, randomBytes } from "node:crypto";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import { keyPair } from "../../test/support/data-connections.ts";
import { Random } from "../../test/support/random.ts";
import { Sealer } from "../../test/support/raw-socket.ts";
import { FRAME_OVERHEAD } from "./gcm.ts";
import { allocate } from "./libc.ts";

/** Both ends of a connection, without the connection. */
function ends(): [Sealer, Sealer] {
  const keys = keyPair();
  return [new Sealer(keys.dialer), new Sealer(keys.listener)];
}

test("frames are what node:crypto makes of them, in both directions", () => {
  const { dialer: keys } = keyPair();
  using end = new Sealer(keys);
  for (const [counter, size] of [0, 1, 15, 16, 17, 4096, 16_384].entries()) {
    const body = randomBytes(size);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(size);
    const count = Buffer.alloc(8);
    count.writeBigUInt64LE(BigInt(counter));

    const iv = Buffer.concat([keys.sendSalt, count]);
    const cipher = createCipheriv("aes-256-gcm", keys.sendKey, iv);
    cipher.setAAD(length);
    const expected = [length, cipher.update(body), cipher.final()];
    assert.deepEqual(
      end.seal(body.subarray(0, size >> 1), body.subarray(size >> 1)),
      Buffer.concat([...expected, cipher.getAuthTag()]),
    );

    const back = Buffer.concat([keys.receiveSalt, count]);
    const other = createCipheriv("aes-256-gcm", keys.receiveKey, back);
    other.setAAD(length);
    const wire = [length, other.update(body), other.final()];
    assert.deepEqual(
      end.open(Buffer.concat([...wire, other.getAuthTag()])),
      body,
    );
  }
});

test("no single bit of a frame can be changed", () => {
  const [from, to] = ends();
  const body = randomBytes(37);
  const bits = (body.length + FRAME_OVERHEAD) * 8;
  for (let bit = 0; bit < bits; bit++) {
    const wire = from.seal(body);
    wire[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(to.open(wire), undefined, `bit ${bit}`);
  }
  assert.deepEqual(to.open(from.seal(body)), body);
});

test("a frame opens once, in its place and in its direction", () => {
  const cases: Record<string, (from: Sealer, to: Sealer) => Buffer> = {
    repeated: (from, to) => {
      const wire = from.seal(randomBytes(20));
      assert.ok(to.open(wire));
      return wire;
    },
    "one was left out": (from) => {
      from.seal(randomBytes(20));
      return from.seal(randomBytes(20));
    },
    "returned to its sender": (_from, to) => to.seal(randomBytes(20)),
    "of another connection": () => ends()[0].seal(randomBytes(20)),
  };
  for (const [name, wireOf] of Object.entries(cases)) {
    const [from, to] = ends();
    assert.equal(to.open(wireOf(from, to)), undefined, name);
  }
});

test("100,000 damaged frames: none opens, and each undamaged one between them does", () => {
  const [from, to] = ends();
  const random = new Random(13, "frames");
  const { length: most } = DAMAGE;
  let opened = 0;
  for (let i = 0; i < 100_000; i++) {
    const body = Buffer.alloc(random.below(200), i & 255);
    const wire = from.seal(body);
    const damaged = DAMAGE[random.below(most)]!(Buffer.from(wire), random);
    if (damaged.length < FRAME_OVERHEAD || damaged.equals(wire)) {
      // Too short to be handed to the cipher at all, or changed back: the frame itself.
      assert.deepEqual(to.open(wire), body);
      opened++;
    } else if (to.open(damaged) !== undefined) assert.fail(`frame ${i} opened`);
  }
  assert.ok(opened > 100 && opened < 20_000, `${opened}`);
});

/** What may happen to a frame on its way. */
const DAMAGE: ((wire: Buffer, random: Random) => Buffer)[] = [
  (wire) => wire,
  (wire, random) => {
    const at = random.below(wire.length);
    wire[at] = wire[at]! ^ (1 << random.below(8));
    return wire;
  },
  (wire, random) => {
    for (let n = 1 + random.below(8); n > 0; n--)
      wire[random.below(wire.length)] = random.below(256);
    return wire;
  },
  (wire, random) => wire.subarray(0, random.below(wire.length)),
  (wire, random) =>
    Buffer.concat([
      wire,
      Buffer.alloc(1 + random.below(40), random.below(256)),
    ]),
  (wire, random) => wire.fill(random.below(256)),
  (wire, random) => wire.fill(0, random.below(wire.length)),
  (wire, random) => {
    const at = 4 + random.below(wire.length - 4);
    return Buffer.concat([
      wire.subarray(0, 4),
      wire.subarray(at),
      wire.subarray(4, at),
    ]);
  },
  (_wire, random) => {
    const noise = Buffer.alloc(FRAME_OVERHEAD + random.below(100));
    for (let i = 0; i < noise.length; i++) noise[i] = random.below(256);
    return noise;
  },
];

test("a cipher that was given back is refused instead of used", () => {
  const [end] = ends();
  end.codec.free();
  end.codec.free();
  const memory = allocate(64);
  for (const use of [
    () => end.seal(Buffer.alloc(4)),
    () => end.codec.open(memory, 0, 4, memory),
  ])
    assert.throws(use, (error) => isShoalError(error, "INTERNAL"));
});
