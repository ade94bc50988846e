import assert from "node:assert/strict";
import { test } from "node:test";
import { refusalOf } from "../../test/support/command-line.ts";
import {
  bytes,
  layers,
  listens,
  shardNumber,
  someBytes,
  targets,
} from "./values.ts";

test("a shard is i/n, or i alone", () => {
  assert.deepEqual(shardNumber("3/8"), { index: 3, count: 8 });
  assert.deepEqual(shardNumber("3"), { index: 3 });
  for (const wrong of ["8/8", "-1/8", "a/b", "1/0", "", "1/2/3"])
    assert.throws(() => shardNumber(wrong), Error, wrong);
});

test("layers are first-last, both included", () => {
  assert.deepEqual(layers("8-20"), { layerStart: 8, layerEnd: 21 });
  assert.deepEqual(layers("0-0"), { layerStart: 0, layerEnd: 1 });
  for (const wrong of ["20-8", "8", "a-b", "8-"])
    assert.throws(() => layers(wrong), Error, wrong);
});

test("sizes are as people write them", () => {
  for (const [text, expected] of [
    ["1000000", 1_000_000],
    ["10MB", 10_000_000],
    ["10MiB", 10_485_760],
    ["1.5k", 1500],
    ["2 GiB", 2 ** 31],
  ] as const)
    assert.equal(bytes(text), expected, text);
  for (const wrong of ["", "ten", "-5", "10XB"])
    assert.throws(() => bytes(wrong), Error, wrong);
  assert.equal(bytes("0"), 0);
  assert.throws(() => someBytes("0kB"), /more than 0/);
});

test("an address to listen on has any free port, unless it names one or the command has a port of its own", () => {
  const at = (port: number): string[] => [
    `/ip4/127.0.0.1/udp/${port}/quic-v1`,
    `/ip4/127.0.0.1/tcp/${port}`,
  ];
  assert.deepEqual(listens("127.0.0.1"), at(0));
  assert.deepEqual(listens("127.0.0.1:4000"), at(4000));
  assert.deepEqual(listens("127.0.0.1", 51820), at(51820));
});

test("addresses that cannot be are refused before anything starts", () => {
  assert.deepEqual(targets("a.example, b.example:4000"), [
    "a.example",
    " b.example:4000",
  ]);
  assert.throws(() => targets("/ip4/nonsense"), { code: "ADDRESS_INVALID" });
});

test("a context that holds no prompt is refused before anything starts", async () => {
  for (const command of ["node", "up", "doctor"]) {
    for (const tokens of ["0", "1", "15"])
      for (const [args, env] of [
        [["--context", tokens], {}],
        [[], { SHOAL_CONTEXT: tokens }],
      ] as const)
        assert.match(
          (await refusalOf([command, ...args], env)) ?? "",
          /Expected 16 to 16777216/,
          `${command} ${tokens}`,
        );
    assert.equal(await refusalOf([command, "--context", "16"]), undefined);
  }
});
