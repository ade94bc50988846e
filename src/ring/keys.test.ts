/** The keys of a data connection: both sides agree, every other connection, direction, peer and secret has others. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import { ringKeys, type RingKeys } from "./index.ts";

const base = {
  connection: randomBytes(16),
  dialer: { peer: "12D3KooWDialer", secret: randomBytes(32) },
  listener: { peer: "12D3KooWListener", secret: randomBytes(32) },
};
/** Computed with Python's hmac module. */
const EXPECTED = [
  "116f1d984ffc87c2b4cb619bc3123a47e7df7e042185e6c7329f411a71567ea9",
  "347031538d59e36ff6c3db4fe3c6af927178e381df86652506279d22ba07c53b",
  "8cffe3b5",
  "d64eadcc",
];
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const all = (keys: RingKeys): string[] =>
  [keys.sendKey, keys.receiveKey, keys.sendSalt, keys.receiveSalt].map(hex);

test("what one side sends with, the other receives with", () => {
  const dialer = ringKeys({ ...base, isDialer: true });
  const listener = ringKeys({ ...base, isDialer: false });
  assert.deepEqual(dialer.sendKey, listener.receiveKey);
  assert.deepEqual(dialer.sendSalt, listener.receiveSalt);
  assert.deepEqual(dialer.receiveKey, listener.sendKey);
  assert.deepEqual(dialer.receiveSalt, listener.sendSalt);
  assert.deepEqual([dialer.sendKey.length, dialer.sendSalt.length], [32, 4]);
});

test("directions, connections, peers and secrets change every key and salt", () => {
  const { dialer, listener, connection } = base;
  const others = [
    { ...base, connection: randomBytes(16) },
    { ...base, dialer: { ...dialer, secret: randomBytes(32) } },
    { ...base, listener: { ...listener, secret: randomBytes(32) } },
    { ...base, dialer: { ...dialer, peer: "12D3KooWOther" } },
    { ...base, listener: { ...listener, peer: "12D3KooWOther" } },
    { connection, dialer: listener, listener: dialer },
  ];
  const values = [base, ...others].flatMap((o) =>
    all(ringKeys({ ...o, isDialer: true })),
  );
  assert.equal(new Set(values).size, values.length);
});

test("the bytes are those of HKDF-SHA256, so that another program can join", () => {
  const keys = ringKeys({
    connection: Buffer.alloc(16, 1),
    dialer: { peer: "a", secret: Buffer.alloc(32, 2) },
    listener: { peer: "b", secret: Buffer.alloc(32, 3) },
    isDialer: true,
  });
  assert.deepEqual(all(keys), EXPECTED);
});

test("ids and secrets of another length are refused", () => {
  for (const wrong of [
    { ...base, connection: randomBytes(15) },
    { ...base, dialer: { ...base.dialer, secret: randomBytes(31) } },
    { ...base, listener: { ...base.listener, secret: new Uint8Array() } },
  ])
    assert.throws(
      () => ringKeys({ ...wrong, isDialer: true }),
      (error) => isShoalError(error, "INTERNAL"),
    );
});
