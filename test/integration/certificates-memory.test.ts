/** The memory that placement expects a session to take is what llama.cpp allocates, for every kind of layer. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Stage } from "../../src/engine/stage.ts";
import { openModel } from "../../src/gguf/index.ts";
import {
  assembleShard,
  buildManifest,
  planLayers,
  readShard,
  shardCounts,
} from "../../src/model/index.ts";
import { needsOf, planShards } from "../../src/placement/index.ts";
import { CASES, caseName } from "../support/certificate/cases.ts";
import {
  nativeLog,
  writeTinyModel,
} from "../support/certificate/tiny-model.ts";
import { temporaryFolder } from "../support/folder.ts";

/** Sessions whose number does not divide that of a batch's tokens; a length that llama.cpp rounds up. */
const ROOM = { contextLength: 700, sessions: 3 } as const;
const BATCH_TOKENS = 16;
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
  "layers that take pictures": ["qwen3vl"],
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
      }
    });

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
