/** Every quantization of llama.cpp v0.5.0: the shards of a model of each type compute what the whole model does, bit for bit. */
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { verifyShards } from "../../src/engine/verify.ts";
import { GGML_TYPES, openModel } from "../../src/gguf/index.ts";
import { describeModel } from "../../src/model/index.ts";
import { certify } from "../support/certificate/certify.ts";
import { temporaryFolder, testData } from "../support/folder.ts";
import {
  type RandomModelOptions,
  writeRandomModel,
} from "../support/models.ts";
import { quantize, quantizeLayers } from "../support/quantize.ts";

/** Above every number of `enum llama_ftype`. */
const MOST_FILE_TYPES = 64;
/** Of v0.5.0: fewer were tested if this number is not reached. */
const FILE_TYPES = 35;
/** MXFP4_MOE: only experts are of the type. */
const MXFP4 = 38;
/** The library makes them only while it computes, or for other things than weights. */
const NO_WEIGHTS = new Set(["Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"]);
/** Verified by engines in processes of their own as well, as `shoal verify` does: a K-quant, a codebook, experts of MXFP4. */
const IN_PROCESSES = new Set([15, 23, MXFP4]);

const MODEL: RandomModelOptions = {
  layers: 3,
  embeddingLength: 256,
  feedForward: 256,
  heads: 4,
  kvHeads: 1,
  vocabSize: 259,
  vocab: "bytes",
};

test(
  "the shards of a model of each type are exact",
  { timeout: 600_000 },
  async (t) => {
    const folder = await temporaryFolder(t);
    const dense = join(folder, "dense.gguf");
    const mixture = join(folder, "mixture.gguf");
    await writeRandomModel(dense, MODEL);
    await writeRandomModel(mixture, {
      ...MODEL,
      architecture: "qwen3moe",
      experts: 2,
    });
    const path = join(folder, "model.gguf");
    const shards = await temporaryFolder(t);
    const seen = new Set<string>();
    const names = new Set<string>();
    const check = async (inProcesses: boolean): Promise<void> => {
      const model = await openModel(path);
      for (const { type } of model.tensors) seen.add(type);
      names.add(describeModel(model).quantization);
      const { cuts } = await certify(path, shards);
      assert.equal(cuts.length, 3); // at both borders, and into three
      if (!inProcesses) return;
      const { signal } = new AbortController();
      const result = await verifyShards({
        path,
        shards: 3,
        threads: 1,
        signal,
      });
      assert.equal(result.prefillDifference, 0);
      assert.equal(result.decodeDifference, 0);
    };
    let fileTypes = 0;
    for (let type = 0; type < MOST_FILE_TYPES; type++) {
      const source = type === MXFP4 ? mixture : dense;
      await rm(path, { force: true });
      if ((await quantize(source, path, type)) === undefined) continue;
      fileTypes++;
      await check(IN_PROCESSES.has(type));
    }
    // No file type of v0.5.0 writes it, but its kernels compute with it.
    await quantizeLayers(dense, path, "NVFP4");
    await check(false);
    t.diagnostic(
      `${fileTypes} file types, ${seen.size} tensor types: ${[...names].join(", ")}`,
    );
    assert.ok(fileTypes >= FILE_TYPES, `${fileTypes} file types`);
    const weights = GGML_TYPES.map(({ name }) => name).filter(
      (name) => !NO_WEIGHTS.has(name),
    );
    assert.deepEqual(
      weights.filter((name) => !seen.has(name)),
      [],
    );
  },
);

const stories = testData("stories260K.gguf");
test(
  "the shards of stories260K are exact, as `shoal verify` finds",
  { skip: stories.skip },
  async () => {
    const { signal } = new AbortController();
    for (const shards of [2, 5]) {
      const { path } = stories;
      const result = await verifyShards({ path, shards, threads: 1, signal });
      assert.equal(result.prefillDifference, 0);
      assert.equal(result.decodeDifference, 0);
    }
  },
);
