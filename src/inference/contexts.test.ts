/** The longest context that a cluster offers, the holders that a session of some length may use, and the fingerprint of its replies. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VERSION } from "../lib/index.ts";
import { holdersFor, longestContext, needsOneContext } from "./contexts.ts";
import { systemFingerprint } from "./fingerprint.ts";

const holder = (
  layerStart: number,
  layerEnd: number,
  contextLength: number,
) => ({ layerStart, layerEnd, contextLength });

const cases: [string, ReturnType<typeof holder>[], number, number][] = [
  ["equal everywhere", [holder(0, 2, 512), holder(2, 4, 512)], 512, 512],
  ["the least of a route", [holder(0, 2, 512), holder(2, 4, 4096)], 512, 0],
  [
    "of the route that has the most",
    [holder(0, 2, 512), holder(2, 4, 4096), holder(0, 2, 8192)],
    4096,
    0,
  ],
  [
    "with one long whole holder",
    [holder(0, 4, 2048), holder(0, 2, 512), holder(2, 4, 512)],
    2048,
    2048,
  ],
  ["of an incomplete cluster", [holder(0, 2, 512)], 0, 0],
];
for (const [name, holders, least, equal] of cases) {
  test(`the longest context: ${name}`, () => {
    assert.equal(longestContext(holders, 4, false), least);
    assert.equal(longestContext(holders, 4, true), equal);
  });
}

test("a session passes only through holders with room for it", () => {
  const short = holder(0, 2, 512);
  const long = holder(0, 2, 4096);
  const last = holder(2, 4, 4096);
  const all = [short, long, last];
  assert.deepEqual(holdersFor(all, 500, false), [all]);
  assert.deepEqual(holdersFor(all, 600, false), [[long, last]]);
  assert.deepEqual(holdersFor(all, 500, true), [[long, last], [short]]);
});

test("only a model with rope factors for short and long contexts needs one context", () => {
  const model = (...names: string[]) => {
    const tensors = names.map((name) => ({ name }));
    return { parts: [{ tensors }] } as unknown as Parameters<
      typeof needsOneContext
    >[0];
  };
  assert.equal(needsOneContext(model("rope_freqs.weight")), false);
  assert.equal(needsOneContext(model("rope_factors_long.weight")), true);
  assert.equal(needsOneContext(model("blk.0.rope_factors_short.weight")), true);
});

test("the fingerprint names the program, every llama.cpp, the mode and the model", () => {
  const computed = { manifest: "bafy", kv: "bf16", batch: "fast" } as const;
  const on = ["llama.cpp v0.5.0 on CPU", "llama.cpp v0.5.0 on CUDA0 H100"];
  assert.equal(
    systemFingerprint({ ...computed, engines: on }),
    `shoal-${VERSION}_llama.cpp-0.5.0_bf16_fast_bafy`,
  );
  const mixed = [undefined, "llama.cpp v0.5.1 on CPU", ...on];
  assert.match(
    systemFingerprint({ ...computed, engines: mixed }),
    /_llama\.cpp-0\.5\.0\+0\.5\.1_/,
  );
});
