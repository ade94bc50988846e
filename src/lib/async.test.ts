import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { deadline } from "./async.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

test("a deadline that is over keeps nothing of those who listened to its signal", async () => {
  const outer = new AbortController();
  const listen = (): WeakRef<object> => {
    const limit = deadline(60_000, "an answer", outer.signal);
    const held = { bytes: new Uint8Array(8) };
    limit.signal.addEventListener("abort", () => held.bytes.fill(1));
    limit.clear();
    return new WeakRef(held);
  };
  const held = listen();
  await nextTurn();
  collect();
  assert.equal(held.deref(), undefined);
  assert.equal(outer.signal.aborted, false);
});

test("a deadline aborts with the reason of the signal that it was given, also one that aborted before", () => {
  const outer = new AbortController();
  const before = deadline(60_000, "an answer", outer.signal);
  const reason = new Error("enough");
  outer.abort(reason);
  const after = deadline(60_000, "an answer", outer.signal);
  assert.deepEqual(
    [before, after].map(({ signal }) => signal.reason as unknown),
    [reason, reason],
  );
  before.clear();
  after.clear();
});
