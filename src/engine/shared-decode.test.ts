/** One decode with a token each of several sessions: each gets its own result, in each memory that llama.cpp has, whatever the order. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { writeTinyModel } from "../../test/support/certificate/tiny-model.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { openModel } from "../gguf/index.ts";
import {
  assembleShard,
  buildManifest,
  planLayers,
  readShard,
} from "../model/index.ts";
import { Sampler } from "./sampler.ts";
import { parseSampling } from "./sampling.ts";
import { type SharedRow, Stage } from "./stage.ts";

const SESSIONS = 4;
const OPTIONS = {
  contextLength: 64,
  sessions: SESSIONS,
  batchTokens: 32,
  threads: 1,
} as const;
const TOKENS = 3;
/** The models' weights are F32: one row has another kernel than several. Logits of another session differ by 1 and more. */
const TOLERANCE = 0.02;

async function load(t: TestContext, path: string): Promise<Stage[]> {
  const folder = await temporaryFolder(t);
  const source = await openModel(path);
  const manifest = await buildManifest(source);
  const stages: Stage[] = [];
  for (const range of planLayers(manifest, 2)) {
    const shard = join(folder, `${range.layerStart}.gguf`);
    await assembleShard({ source, manifest, range, path: shard });
    const stage = new Stage(await readShard(shard), OPTIONS);
    t.after(() => stage[Symbol.dispose]());
    stages.push(stage);
  }
  return stages;
}

/** The sessions' prompts have different lengths. */
const start = (session: number): number => 12 + 3 * session;

function tokenAt(stages: readonly Stage[], session: number, at: number) {
  const vocabSize = stages.at(-1)!.vocabSize;
  return (at * 7919 + session * 31 + 11) % vocabSize;
}

function decode(
  stages: readonly Stage[],
  session: number,
  position: number,
  count: number,
): void {
  const tokens = Int32Array.from({ length: count }, (_, i) =>
    tokenAt(stages, session, position + i),
  );
  let activations: Float32Array | undefined;
  for (const stage of stages)
    activations = stage.decode(session, position, tokens, activations)?.slice();
}

function decodeShared(
  stages: readonly Stage[],
  sessions: readonly number[],
  k: number,
): void {
  let rows: SharedRow[] = sessions.map((sequence) => {
    const position = start(sequence) + k;
    const token = tokenAt(stages, sequence, position);
    return { sequence, position, token };
  });
  for (const stage of stages) {
    const out = stage.decodeShared(rows)?.slice();
    const width = stage.activationLength;
    rows = rows.map((row, i) => ({
      ...row,
      activations: out?.subarray(i * width, (i + 1) * width),
    }));
  }
}

function free(stages: readonly Stage[], session: number): void {
  for (const stage of stages) stage.freeSequence(session);
}

/** By session and token: the logits that it gets alone. */
function aloneOf(stages: readonly Stage[]): Float32Array[][] {
  return Array.from({ length: SESSIONS }, (_, session) => {
    decode(stages, session, 0, start(session));
    const rows = Array.from({ length: TOKENS }, (_row, k) => {
      decode(stages, session, start(session) + k, 1);
      return stages.at(-1)!.logits();
    });
    free(stages, session);
    return rows;
  });
}

function difference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
}

for (const architecture of [
  "llama",
  "mamba2",
  "jamba",
  "falcon-h1",
  "qwen3next",
  "kimi-linear",
  "lfm2",
  "gemma2",
  "glm-dsa",
  "minimax-m3",
  "deepseek4",
])
  test(`${architecture}: sessions that share a decode get what each gets alone`, async (t) => {
    const path = join(await temporaryFolder(t), "model.gguf");
    await writeTinyModel(path, architecture);
    const stages = await load(t, path);
    const alone = aloneOf(stages);
    assert.ok(difference(alone[0]![0]!, alone[1]![0]!) > 1);
    for (const sessions of [
      [0, 1],
      [0, 1, 2, 3],
      [3, 0, 2],
      [1, 3],
    ]) {
      for (const session of sessions)
        decode(stages, session, 0, start(session));
      const isApart = sessions.join(" ") === "1 3"; // one after the other, so bit for bit
      for (let k = 0; k < TOKENS; k++) {
        decodeShared(stages, sessions, k);
        for (const [index, session] of sessions.entries()) {
          const logits = stages.at(-1)!.logits(index);
          const off = difference(logits, alone[session]![k]!);
          const what = `${sessions.join(" ")}: ${session} differs by ${off}`;
          assert.ok(off <= (isApart ? 0 : TOLERANCE), what);
        }
      }
      for (const session of sessions) free(stages, session);
    }
  });

test("a sampler draws from its own session's row", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2, vocabSize: 320 });
  const stages = await load(t, path);
  const sessions = [2, 0, 1];
  for (const session of sessions) decode(stages, session, 0, start(session));
  decodeShared(stages, sessions, 0);
  const last = stages.at(-1)!;
  using sampler = new Sampler(last, parseSampling({ temperature: 0 }));
  const drawn = sessions.map(
    (_, index) => sampler.sample(last, 1, index).token,
  );
  const most = sessions.map((_, index) => {
    const logits = last.logits(index);
    return logits.indexOf(Math.max(...logits));
  });
  assert.deepEqual(drawn, most);
  assert.equal(new Set(drawn).size, 3);
});

test("wrong rows are errors", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2, vocabSize: 320 });
  const [first, last] = await load(t, path);
  const row = { sequence: 1, position: 0, token: 5 };
  const refused = (stage: Stage | undefined, rows: SharedRow[], code: string) =>
    assert.throws(() => stage!.decodeShared(rows), { code });
  refused(first, [], "ENGINE_FAILED");
  refused(first, [row, row], "ENGINE_FAILED");
  refused(first, [{ ...row, position: 64 }], "CONTEXT_EXCEEDED");
  refused(last, [row], "ENGINE_FAILED");
  const many = Array.from({ length: 33 }, (_, i) => ({ ...row, sequence: i }));
  refused(first, many, "ENGINE_FAILED");
});
