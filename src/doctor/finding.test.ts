import assert from "node:assert/strict";
import { test } from "node:test";
import { CAUSES } from "./causes.ts";
import { diagnose, note, ok, problem, skipped } from "./finding.ts";

test("no findings are healthy; notes and skipped checks are not a cause", () => {
  assert.deepEqual(diagnose([]), { healthy: true });
  assert.deepEqual(
    diagnose([
      ok("udp", "answers"),
      note("udp", "slow"),
      skipped("dht", "not asked"),
    ]),
    { healthy: true },
  );
});

test("of several problems the first one in the table is reported, whatever the order of finding", () => {
  const all = CAUSES.map(({ code }) => problem("shards", code, code));
  for (const [first, cause] of CAUSES.entries()) {
    const found = all.slice(first);
    for (const order of [found, found.toReversed()])
      assert.equal(diagnose(order).cause?.code, cause.code);
  }
});

test("of several of one kind the first found is reported, with its facts in the advice", () => {
  const { cause } = diagnose([
    problem("shards", "SHARD_MISSING", "shard 2", { shard: 2, cluster: "a" }),
    problem("shards", "SHARD_MISSING", "shard 5", { shard: 5, cluster: "a" }),
  ]);
  assert.equal(cause?.what, "shard 2");
  assert.match(cause?.next ?? "", /shoal node --cluster a --shard 2 /);
});

test("every cause has its own code and says what to do", () => {
  const codes = CAUSES.map(({ code }) => code);
  assert.equal(new Set(codes).size, codes.length);
  for (const { next } of CAUSES) assert.ok(next({}).length > 10);
});
