/** Which numbers of tokens in one decode get the bits of each alone, for each type of weights; a difference at one place is enough. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import {
  type RandomModelOptions,
  writeRandomModel,
} from "../../test/support/models.ts";
import { readShard, splitModel } from "../model/index.ts";
import { MEASURING, type Measured, measureStage } from "./measure-stage.ts";
import { type SharedRow, Stage } from "./stage.ts";

/** Wide enough for the kernels of real models: blocks of 256 weights, heads of 64. */
const MODEL = {
  layers: 2,
  embeddingLength: 256,
  feedForward: 256,
  heads: 4,
  kvHeads: 2,
} satisfies RandomModelOptions;

const OPTIONS = {
  contextLength: 768,
  sessions: 8,
  batchTokens: 192,
  threads: 1,
} as const;

type Type = NonNullable<RandomModelOptions["type"]>;

async function shardOf(t: TestContext, type: Type) {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { ...MODEL, type });
  return await readShard(path);
}

function sameBitsOf({ tables }: Measured): [rows: number, same: boolean][] {
  return tables.shared.map(({ rows, sameBits }) => [rows, sameBits]);
}

for (const [type, most] of [
  ["Q8_0", 8],
  ["Q6_K", 8],
  ["Q4_0", 8],
  ["Q4_K", 2], // llama.cpp repacks it, and takes such rows by fours
  // A lone row has a kernel of its own.
  ["F16", 1],
  ["BF16", 1],
  ["F32", 1],
] as const)
  test(`${type}: up to ${most} of 8 rows in one decode get the bits of each alone`, async (t) => {
    using stage = new Stage(await shardOf(t, type), OPTIONS);
    const measured = measureStage(stage, OPTIONS.threads);
    assert.equal(measured.isComplete, true);
    assert.equal(measured.tables.cells, 576);
    assert.deepEqual(
      sameBitsOf(measured),
      [1, 2, 4, 8].map((rows) => [rows, rows <= most]),
    );
  });

/** A stage whose decodes of several rows are seen, may be wrong, and take what the test says. */
class Watched extends Stage {
  nowMs = 0;
  costMs: (rows: number) => number = () => 0;
  fault: { rows: number; depth: number } | undefined;
  /** By depth of session 0: the tokens of the largest decode. */
  readonly seen = new Map<number, number[]>();

  override decode(
    ...[sequence, position, tokens, activations]: Parameters<Stage["decode"]>
  ): Float32Array | undefined {
    this.nowMs += tokens.length === 1 ? this.costMs(1) : 0;
    return super.decode(sequence, position, tokens, activations);
  }

  override decodeShared(rows: readonly SharedRow[]): Float32Array | undefined {
    this.nowMs += this.costMs(rows.length);
    const out = super.decodeShared(rows);
    const depth = rows[0]!.position;
    const tokens = rows.map(({ token }) => token);
    this.seen.set(depth, tokens);
    if (this.fault?.rows === rows.length && this.fault.depth === depth)
      out![out!.length - 1]! += 1;
    return out;
  }
}

/** The first of two, which gives activations. */
async function firstStage(t: TestContext): Promise<Watched> {
  const { path } = await shardOf(t, "Q8_0");
  const outDir = join(await temporaryFolder(t), "shards");
  const { shards } = await splitModel({ path, shards: 2, outDir });
  const stage = new Watched(await readShard(shards[0]!.path), OPTIONS);
  t.after(() => stage[Symbol.dispose]());
  return stage;
}

test("one row that differs at one place is enough; each row has other tokens from place to place", async (t) => {
  const stage = await firstStage(t);
  const places = [576, ...MEASURING.depths];
  for (const depth of places) {
    stage.fault = { rows: 4, depth };
    assert.deepEqual(sameBitsOf(measureStage(stage, 1)), [
      [1, true],
      [2, true],
      [4, false],
      [8, true],
    ]);
  }
  assert.deepEqual([...stage.seen.keys()], places);
  for (let row = 0; row < 8; row++) {
    const tokens = [...stage.seen.values()].map((rows) => rows[row]);
    assert.equal(new Set(tokens).size, places.length, `row ${row}`);
  }
});

test("what was not compared at every place does not count; the cheap numbers come first", async (t) => {
  const stage = await firstStage(t);
  const measure = (): Measured => measureStage(stage, 1, () => stage.nowMs);
  // 8 rows were expected to take little more than 4: their first decode leaves time for the places of the others only.
  stage.costMs = (rows) => (rows === 8 ? 900 : 100);
  const measured = measure();
  assert.deepEqual(sameBitsOf(measured), [
    [1, true],
    [2, true],
    [4, true],
    [8, false],
  ]);
  assert.equal(measured.isComplete, false);
  assert.ok(stage.nowMs <= MEASURING.budgetMs);
  stage.nowMs = 0;
  stage.costMs = (rows) => 10 * rows;
  assert.equal(measure().isComplete, true);
  stage.costMs = () => 1_000;
  assert.deepEqual(sameBitsOf(measure()), [[1, true]]);
});
