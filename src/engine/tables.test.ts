/** What is measured of a stage at its load is plausible, is kept, and decides which sessions share a decode. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { StageEngine } from "./stage-engine.ts";
import { NO_TABLES, policyOf, StageTables } from "./tables.ts";

const SHARED = [
  { rows: 1, sameBits: true, ms: 10 },
  { rows: 2, sameBits: true, ms: 12 },
  { rows: 4, sameBits: false, ms: 16 },
];
const TABLES: StageTables = { ...NO_TABLES, cells: 576, shared: SHARED };

test("a number of rows gets the bits of one only if that was seen on both sides of it", () => {
  const { sameBits } = policyOf(TABLES, "exact", 4096);
  assert.deepEqual([1, 2, 3, 4, 5, 8].map(sameBits), [
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test("what was measured in a short context proves nothing for a long one", () => {
  const tables = { ...TABLES, cells: 200 };
  assert.equal(policyOf(tables, "exact", 4096).sameBits(2), false);
  assert.equal(policyOf(tables, "exact", 256).sameBits(2), true);
});

test("costs lie between the measured ones, and beyond them are unknown", () => {
  const { costMs } = policyOf(TABLES, "fast", 4096);
  assert.deepEqual([1, 2, 3, 4, 5].map(costMs), [10, 12, 14, 16, undefined]);
  assert.equal(policyOf(NO_TABLES, "fast", 4096).costMs(1), undefined);
});

test("an engine measures once, keeps it, and measures anew what is damaged or different", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "model.gguf");
  const tablesPath = join(folder, "state", "tables.json");
  await writeRandomModel(path, {
    layers: 2,
    embeddingLength: 256,
    feedForward: 256,
    heads: 8,
    kvHeads: 4,
    type: "Q8_0",
  });
  const load = async (kv: "f16" | "bf16"): Promise<StageTables> => {
    await using engine = new StageEngine({
      path,
      kv,
      tablesPath,
      contextLength: 1024,
      sessions: 8,
      threads: 1,
    });
    return (await engine.start()).tables;
  };
  const first = await load("f16");
  StageTables.parse(first);
  assert.equal(first.cells, 576);
  assert.deepEqual(
    first.shared.map(({ rows }) => rows),
    [1, 2, 4, 8],
  );
  // Fewer than 64 rows of 8-bit weights agree.
  assert.ok(first.shared.every(({ sameBits, ms }) => sameBits && ms > 0));
  assert.deepEqual(
    first.chunks.map(({ tokens }) => tokens),
    [64, 128, 192],
  );
  assert.deepEqual(await load("f16"), first, "the times are those kept");
  await load("bf16");
  assert.deepEqual(await load("f16"), first, "both are kept");
  await writeFile(tablesPath, (await readFile(tablesPath)).subarray(0, 100));
  assert.notDeepEqual(await load("f16"), first, "other times: measured anew");
  JSON.parse(await readFile(tablesPath, "utf8"));
});
