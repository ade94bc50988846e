/**
 * From home to home: two stages of a model behind routers of several kinds, and a gateway in public and one behind a router. Some pairs of kinds;
 * bench/nat.ts has all.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { homesMissing } from "../support/homes.ts";
import { Members } from "../support/member.ts";
import {
  mustAnswer,
  natMatrix,
  type Pair,
  patienceMs,
  tableOf,
} from "../support/nat-matrix.ts";

const PAIRS: readonly Pair[] = [
  ["open", "open"],
  ["open", "symmetric"],
  ["udp blocked", "open"],
  ["ipv6 only", "open"],
  ["port restricted", "port restricted"],
  ["symmetric", "double"],
];

describe("from home to home:", { skip: homesMissing }, () => {
  test("the pipelines of these pairs are ready, and chats are answered", async (t) => {
    const members = await Members.of(t);
    const how = { members, pairs: PAIRS, lanes: 2, patienceMs };
    const results = await natMatrix(how);
    for (const line of tableOf(results)) t.diagnostic(line);
    for (const { pair, answers } of results)
      for (const gateway of ["public", "home"] as const) {
        const { readyMs, answeredMs, why } = answers[gateway];
        if (!mustAnswer(pair, gateway)) continue;
        const what = `${pair.join(" × ")}, gateway: ${gateway}: ${why}`;
        assert.notEqual(answeredMs, undefined, what);
        assert.notEqual(readyMs, undefined, what);
      }
    assert.equal(results.length, PAIRS.length);
  });
});
