/** The memory that placement expects a shard to take is what llama.cpp allocates, for every kind of layer. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Stage } from "../../src/engine/stage.ts";
import { openModel } from "../../src/gguf/index.ts";
import {
  assembleShard,
  buildManifest,
  copiedBytes,
  planLayers,
  readShard,
  shardCounts,
} from "../../src/model/index.ts";
import {
  needsOf,
  type PlanShard,
  planShards,
} from "../../src/placement/index.ts";
import { MEMORY } from "../../src/placement/shard-needs.ts";
import { CASES, caseName } from "../support/certificate/cases.ts";
import {
  nativeLog,
  writeTinyModel,
} from "../support/certificate/tiny-model.ts";
import { temporaryFolder } from "../support/folder.ts";
import { writeRandomModel } from "../support/models.ts";

/** Sessions whose number does not divide that of a batch's tokens; a length that llama.cpp rounds up. */
const ROOM = { contextLength: 700, sessions: 3 } as const;
const BATCH_TOKENS = 16;
/** Where what grows with it counts little, and where it counts most. */
const CONTEXTS = [256, 8_192];
/** One or two of each kind; the certificates have all. */
const KINDS: Readonly<Record<string, string[]>> = {
  "keys and values": ["llama", "phi3", "falcon", "chatglm", "mpt"],
  "compressed keys (MLA)": ["deepseek2", "mistral4"],
  "heads that differ by layer": ["deci", "openelm", "mimo2", "step35"],
  "sliding windows": ["gemma3", "gemma4", "gpt-oss", "laguna"],
  "an index of keys": [
    "glm-dsa",
    "deepseek32",
    "hy_v4",
    "minimax-m3",
    "dots3note",
  ],
  "keys of many tokens in one": ["deepseek4"],
  states: ["mamba", "mamba2", "rwkv6qwen2"],
  "states and attention in turn": [
    "jamba",
    "granitehybrid",
    "nemotron_h",
    "nemotron_h_moe",
    "plamo2",
    "lfm2",
    "qwen35",
    "qwen3next",
  ],
  "states and attention in one layer": ["falcon-h1"],
  "delta attention": ["kimi-linear", "bailingmoe3"],
  "layers that take pictures": ["qwen3vl", "qwen3vlmoe"],
  "attention without a fused kernel": ["grok"],
};

for (const [kind, architectures] of Object.entries(KINDS))
  for (const model of CASES.filter((of) =>
    architectures.includes(of.architecture),
  ))
    test(`${kind}: ${caseName(model)}`, async (t) => {
      const folder = await temporaryFolder(t);
      const path = join(folder, "model.gguf");
      await writeTinyModel(path, model.architecture, model);
      const source = await openModel(path);
      const manifest = await buildManifest(source);
      const most = shardCounts(manifest).findLast((count) => count <= 3) ?? 1;
      for (const shard of planShards(manifest, planLayers(manifest, most))) {
        const file = join(folder, "shard.gguf");
        const to = {
          source,
          manifest,
          range: shard,
          path: file,
          verify: false,
        };
        await assembleShard(to);
        nativeLog.length = 0;
        const options = { ...ROOM, batchTokens: BATCH_TOKENS, threads: 1 };
        new Stage(await readShard(file), options)[Symbol.dispose]();
        assertAllocated(
          needsOf(shard, ROOM).kvBytes,
          kind.startsWith("keys of many"),
        );
        for (const contextLength of CONTEXTS)
          await assertComputes(shard, file, contextLength);
      }
    });

/** Not of a model of one byte: a bound, with room for what does not grow with it. */
async function assertComputes(
  shard: PlanShard,
  file: string,
  contextLength: number,
): Promise<void> {
  nativeLog.length = 0;
  const room = { contextLength, sessions: 4 };
  const options = { ...room, batchTokens: MEMORY.decodeTokens, threads: 1 };
  new Stage(await readShard(file), options)[Symbol.dispose]();
  const mib = Number(
    /compute buffer size = +([\d.]+) MiB/.exec(nativeLog.join(""))?.[1],
  );
  const most = needsOf(shard, room).computeBytes / 2 ** 20;
  assert.ok(
    mib > 0 && mib <= most,
    `llama.cpp computes in ${mib} MiB, expected at most ${most}`,
  );
}

/** llama.cpp says each size in hundredths of a MiB. `isBound`: up to a quarter more is expected. */
function assertAllocated(expectedBytes: number, isBound: boolean): void {
  const sizes = [
    ...nativeLog
      .join("")
      .matchAll(/(?:KV|RS|state) buffer size = +([\d.]+) MiB/g),
  ].map(([, mib]) => Number(mib));
  assert.ok(sizes.length > 0);
  const mib = sizes.reduce((sum, size) => sum + size, 0);
  const over = expectedBytes / 2 ** 20 - mib;
  const most = 0.006 * sizes.length;
  assert.ok(
    over >= -most && over <= (isBound ? mib / 4 : most),
    `llama.cpp allocates ${sizes.join(" + ")} MiB, expected ${expectedBytes / 2 ** 20}`,
  );
}

/** The tiny model with heads of 64, so that rows are whole blocks of Q8_0. */
const HEADS_OF_64 = { embeddingLength: 256, heads: 4, kvHeads: 2 } as const;

for (const kv of ["f16", "bf16", "q8_0"] as const)
  test(`keys and values of type ${kv}`, async (t) => {
    const path = join(await temporaryFolder(t), "model.gguf");
    await writeRandomModel(path, HEADS_OF_64);
    const manifest = await buildManifest(await openModel(path));
    const [whole] = planShards(manifest, planLayers(manifest, 1));
    assert.ok(whole);
    const file = join(await temporaryFolder(t), "shard.gguf");
    const source = await openModel(path);
    await assembleShard({ source, manifest, range: whole, path: file });
    nativeLog.length = 0;
    const options = { ...ROOM, kv, batchTokens: BATCH_TOKENS, threads: 1 };
    new Stage(await readShard(file), options)[Symbol.dispose]();
    assertAllocated(needsOf(whole, { ...ROOM, kv }).kvBytes, false);
  });

for (const type of ["F16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"] as const)
  for (const tied of [false, true])
    test(
      `weights of type ${type} that are copied${tied ? ", with a tied head" : ""}`,
      // Which are copied there depends on the processor.
      { skip: process.arch !== "x64" },
      async (t) => {
        const folder = await temporaryFolder(t);
        const path = join(folder, "model.gguf");
        const of = { ...HEADS_OF_64, feedForward: 512, vocabSize: 2_048 };
        await writeRandomModel(path, { ...of, type, tied });
        const source = await openModel(path);
        const manifest = await buildManifest(source);
        for (const range of planLayers(manifest, 2)) {
          const file = join(folder, "shard.gguf");
          await assembleShard({ source, manifest, range, path: file });
          nativeLog.length = 0;
          const options = { ...ROOM, batchTokens: BATCH_TOKENS, threads: 1 };
          new Stage(await readShard(file), options)[Symbol.dispose]();
          const said = /REPACK model buffer size = +([\d.]+) MiB/.exec(
            nativeLog.join(""),
          )?.[1];
          const over =
            copiedBytes(manifest, range) / 2 ** 20 - Number(said ?? 0);
          assert.ok(
            Math.abs(over) < 0.006,
            `${said ?? "none"} and ${over} more`,
          );
        }
      },
    );
