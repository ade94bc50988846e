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
import {
  type FileType,
  libraryFileTypes,
  libraryTensorTypes,
  quantize,
  quantizeLayers,
  type TensorType,
} from "../support/quantize.ts";

/** MXFP4_MOE: only experts are of the type. */
const MXFP4 = 38;
/** The library refuses to quantize to it: other tools write such files, and its kernels compute with them. */
const NVFP4 = 39;
/** What llama.cpp names otherwise. */
const NAMES: Readonly<Record<string, string>> = {
  "all F32": "F32",
  "Q2_K - Medium": "Q2_K",
  "IQ3_S mix - 3.66 bpw": "IQ3_M",
  "MXFP4 MoE": "MXFP4",
};
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

/** "Q4_K - Medium" is Q4_K_M, "IQ2_XXS - 2.0625 bpw" is IQ2_XXS. */
function nameOf({ name }: FileType): string {
  const [type = "", rest = ""] = name.split(" - ");
  const size = /^(?:Small|Medium|Large)$/.exec(rest)?.[0].charAt(0);
  return NAMES[name] ?? (size === undefined ? type : `${type}_${size}`);
}

test("the table of tensor types is the library's", () => {
  const library = libraryTensorTypes().filter((type) => type.blockElements > 0);
  const row = (type: Omit<TensorType, "isRead">) => [
    type.id,
    type.name,
    type.blockElements,
    type.blockBytes,
  ];
  assert.deepEqual(GGML_TYPES.map(row), library.map(row));
});

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
    const check = async (type: FileType): Promise<void> => {
      const model = await openModel(path);
      for (const { type } of model.tensors) seen.add(type);
      assert.equal(describeModel(model).quantization, nameOf(type));
      const { cuts } = await certify(path, shards);
      assert.equal(cuts.length, 3); // at both borders, and into three
      if (!IN_PROCESSES.has(type.id)) return;
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
    const fileTypes = libraryFileTypes();
    for (const type of fileTypes) {
      const source = type.id === MXFP4 ? mixture : dense;
      await rm(path, { force: true });
      const isWritten = await quantize(source, path, type.id);
      assert.equal(isWritten, type.id === NVFP4 ? undefined : true, type.name);
      if (!isWritten) await quantizeLayers(dense, path, "NVFP4", NVFP4);
      await check(type);
    }
    t.diagnostic(
      `${fileTypes.length} file types, ${seen.size} tensor types: ${fileTypes.map(nameOf).join(", ")}`,
    );
    const weights = libraryTensorTypes().filter(({ isRead }) => isRead);
    assert.deepEqual(
      [...seen].toSorted(),
      weights.map(({ name }) => name).toSorted(),
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
