/** Sessions share the pages of keys and values: many short ones fit where a few long ones do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { KV_PAGE_TOKENS, KvBudget, pagedTokens } from "./kv-budget.ts";

/** The sessions of so many tokens that fit. */
function sessionsOf(tokens: number, budget: KvBudget): number {
  let sessions = 0;
  while (budget.reserve(tokens)) sessions++;
  return sessions;
}

const CONTEXT = 4_096;
for (const [tokens, sessions] of [
  [CONTEXT, 4],
  [CONTEXT - KV_PAGE_TOKENS, 4],
  [CONTEXT / 2, 8],
  [300, 32],
  [256, 64],
  [1, 64],
] as const)
  test(`where 4 sessions of ${CONTEXT} tokens fit, ${sessions} of ${tokens} do`, () => {
    const budget = new KvBudget(4 * CONTEXT);
    assert.equal(sessionsOf(tokens, budget), sessions);
    budget.release(tokens);
    assert.equal(budget.reserve(tokens), true);
    assert.equal(budget.reserve(tokens), false);
  });

test("a refused session takes nothing", () => {
  const budget = new KvBudget(1_000);
  assert.equal(budget.totalTokens, 1_024);
  assert.equal(budget.reserve(1_025), false);
  assert.equal(budget.freeTokens, 1_024);
});

test("property: what is reserved and given back in any order leaves the budget whole, and is never more than it", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 2_000 }), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 10_000 }), (all, size) => {
      const budget = new KvBudget(size);
      const running: number[] = [];
      for (const tokens of all) {
        if (budget.reserve(tokens)) running.push(tokens);
        else if (running.length > 0) budget.release(running.shift() ?? 0);
        const sum = running.reduce((s, n) => s + pagedTokens(n), 0);
        assert.equal(budget.freeTokens, budget.totalTokens - sum);
        assert.ok(budget.freeTokens >= 0);
      }
      for (const tokens of running) budget.release(tokens);
      assert.equal(budget.freeTokens, budget.totalTokens);
    }),
  );
});
