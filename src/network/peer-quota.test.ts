import assert from "node:assert/strict";
import { test } from "node:test";
import { PeerQuota } from "./peer-quota.ts";

test("a burst passes, a flood does not, and tokens return with time", () => {
  let nowMs = 0;
  const limit = new PeerQuota(3, 2, { now: () => nowMs });
  const take = (key: string, times: number): number =>
    Array.from({ length: times }, () => limit.take(key)).filter(Boolean).length;
  assert.equal(take("a", 5), 3);
  assert.equal(take("b", 5), 3, "another peer has its own bucket");
  nowMs += 1_000;
  assert.equal(take("a", 5), 2);
  nowMs += 3_600_000;
  assert.equal(take("a", 5), 3, "a pause fills the bucket, not more");
  nowMs -= 10_000;
  assert.equal(take("a", 5), 0, "a clock set back gives no tokens");
});
