/**
 * Embeddings are llama.cpp's own bits: of prompts of each length that kernels know, for each architecture whose embeddings are served, through 1
 * and 2 stages; and what a session generates beside them stays what it was.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { chunksOf } from "../../src/engine/chunks.ts";
import { Stage } from "../../src/engine/stage.ts";
import { readShard } from "../../src/model/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { Llama } from "../support/llama.ts";
import {
  type RandomModelOptions,
  writeRandomModel,
} from "../support/models.ts";
import { StageChain } from "../support/stage-chain.ts";

const LAST = 3;
const CONTEXT = 1024;
const MODEL = {
  layers: 3,
  embeddingLength: 256,
  feedForward: 256,
  heads: 4,
  kvHeads: 2,
  contextLength: CONTEXT,
  pooling: LAST,
} satisfies RandomModelOptions;

/** Each remainder by 4 where a prompt is whole, where only its last rows are put out, and where it has several chunks and graphs. */
const LENGTHS = [
  [1, 2, 3, 4, 5, 30, 63, 64, 65, 66, 67, 126, 127, 128, 129, 130, 131],
  [190, 191, 192, 193, 194, 300, 511, 512, 513, 514, 577, 700, 703],
].flat();

const tokens = (from: number, count: number): Int32Array =>
  Int32Array.from({ length: count }, (_, i) => ((from + i + 1) * 7919) % 320);

const OPTIONS = { contextLength: CONTEXT, batchTokens: 192, sessions: 2 };

for (const { architecture, type } of [
  { architecture: "qwen3", type: "Q8_0" },
  { architecture: "qwen3", type: "F16" },
  { architecture: "qwen2", type: "Q4_K" },
  { architecture: "llama", type: "F32" },
] as const)
  test(`${architecture} ${type}: embeddings through 1 and 2 stages`, async (t) => {
    const path = await modelOf(t, { architecture, type });
    using llama = new Llama(path, CONTEXT, { embeddings: true });
    const expected = LENGTHS.map((length) =>
      llama.embedding(tokens(0, length)),
    );
    assert.ok(expected.every((row) => row.every(Number.isFinite)));
    assert.notDeepEqual(expected[0], expected[1]);
    for (const stages of [1, 2]) {
      const threads = Array<number>(stages).fill(1);
      const how = { ...OPTIONS, kv: "f16" } as const;
      const chain = await StageChain.load(t, path, threads, how);
      const differ = LENGTHS.filter((length, i) => {
        const actual = embedded(chain, length);
        return !bytesOf(actual).equals(bytesOf(expected[i]!));
      });
      assert.deepEqual(differ, [], `${stages} stages`);
    }
  });

test("logits after an embedding are those before it", async (t) => {
  const path = await modelOf(t, { architecture: "qwen3", type: "Q8_0" });
  const chain = await StageChain.load(t, path, [1], { ...OPTIONS, kv: "f16" });
  chain.decode(1, 0, tokens(0, 70));
  const before = chain.logits();
  embedded(chain, 200);
  chain.keep(1, 0);
  chain.decode(1, 0, tokens(0, 70));
  assert.deepEqual(chain.logits(), before);
});

test("a model without pooling gives no embedding", async (t) => {
  const path = await modelOf(t, { pooling: 0 });
  using stage = new Stage(await readShard(path), { ...OPTIONS, threads: 1 });
  assert.throws(() => stage.decode(0, 0, tokens(0, 4), undefined, true), {
    code: "ENGINE_FAILED",
    message: /gives no embeddings/,
  });
});

/** In the chunks in which the gateway sends a prompt. */
function embedded(chain: StageChain, length: number): Float32Array {
  chain.keep(0, 0);
  const chunks = chunksOf(length, OPTIONS.batchTokens, "f16");
  const last = chunks.pop() ?? 0;
  let position = 0;
  for (const count of chunks) {
    chain.decode(0, position, tokens(position, count));
    position += count;
  }
  return chain.embed(0, position, tokens(position, last));
}

function bytesOf(values: Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

async function modelOf(
  t: TestContext,
  options: RandomModelOptions,
): Promise<string> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { ...MODEL, ...options });
  return path;
}
