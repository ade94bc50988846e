import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder, testData } from "../../test/support/folder.ts";
import {
  writeRandomModel,
  type RandomArchitecture,
  type RandomModelOptions,
} from "../../test/support/models.ts";
import { openModel, writeGguf, type GgufValue } from "../gguf/index.ts";
import { describeModel, type ModelDescription } from "./describe.ts";

async function describeRandom(
  t: TestContext,
  options: RandomModelOptions,
): Promise<ModelDescription> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2, ...options });
  return describeModel(await openModel(path));
}

const string = (value: string): GgufValue => ({ type: "string", value });
const uint32 = (value: number): GgufValue => ({ type: "uint32", value });

const FAMILIES: readonly [RandomArchitecture, shared: string[]][] = [
  ["llama", ["rope_freqs.weight"]],
  ["llama-moe", ["rope_freqs.weight"]],
  ["qwen2", []],
  ["qwen3", []],
  ["qwen3moe", []],
  ["phi3", ["rope_factors_long.weight", "rope_factors_short.weight"]],
];

for (const [architecture, shared] of FAMILIES) {
  test(`every tensor of a ${architecture} model has its part`, async (t) => {
    const model = await describeRandom(t, {
      architecture,
      ropeFreqs: true,
      outputBias: true,
      embeddingLength: 64,
      vocabSize: 300,
      contextLength: 128,
    });
    const names = (id: string): string[] | undefined =>
      model.parts
        .find((part) => part.id === id)
        ?.tensors.map(({ name }) => name);
    assert.deepEqual(
      model.parts.map(({ id }) => id),
      ["metadata", "embedding", "layer.0", "layer.1", "output"],
    );
    assert.deepEqual(names("metadata"), shared);
    assert.deepEqual(names("embedding"), ["token_embd.weight"]);
    assert.ok(names("layer.1")?.every((name) => name.startsWith("blk.1.")));
    assert.deepEqual(names("output"), [
      "output_norm.weight",
      "output.weight",
      ...(architecture === "qwen2" ? ["output.bias"] : []),
    ]);
    const { layerCount, embeddingLength, contextLength, vocabSize } = model;
    assert.deepEqual(
      { layerCount, embeddingLength, contextLength, vocabSize },
      {
        layerCount: 2,
        embeddingLength: 64,
        contextLength: 128,
        vocabSize: 300,
      },
    );
    assert.equal(model.tied, false);
  });
}

test("a model without output.weight is tied", async (t) => {
  assert.equal((await describeRandom(t, { tied: true })).tied, true);
});

test("quantization is what the file says, else the type of most of its bytes", async (t) => {
  const said = await describeRandom(t, {
    extraMetadata: [["general.file_type", uint32(15)]],
  });
  assert.equal(said.quantization, "Q4_K_M");
  const most = await describeRandom(t, { type: "Q8_0" });
  assert.equal(most.quantization, "Q8_0");
});

/** Key-values that replace those of a random llama model, and the expected result. */
const REFUSED: readonly [
  what: string,
  code: string,
  message: RegExp,
  entries: readonly (readonly [string, GgufValue])[],
][] = [
  [
    "another architecture",
    "MODEL_ARCHITECTURE",
    /architecture 'gemma3n' is not supported: llama\.cpp computes a layer by its number/,
    [
      ["general.architecture", string("gemma3n")],
      ["gemma3n.block_count", uint32(2)],
    ],
  ],
  [
    "an architecture that llama.cpp does not know",
    "MODEL_ARCHITECTURE",
    /architecture 'gemma9' is not known$/,
    [["general.architecture", string("gemma9")]],
  ],
  [
    "a vision encoder",
    "MODEL_ARCHITECTURE",
    /architecture 'clip' is not supported: it turns pictures into input/,
    [["general.architecture", string("clip")]],
  ],
  [
    "an adapter",
    "MODEL_NOT_LANGUAGE",
    /general\.type is 'adapter'/,
    [["general.type", string("adapter")]],
  ],
  [
    "no layers",
    "MODEL_NOT_LANGUAGE",
    /without llama\.block_count/,
    [["llama.block_count", string("two")]],
  ],
  [
    "an embedding model",
    "MODEL_NOT_LANGUAGE",
    /vectors, not text/,
    [["llama.pooling_type", uint32(1)]],
  ],
  [
    "an embedding model of an architecture whose embeddings are not proven",
    "MODEL_NOT_LANGUAGE",
    /vectors, not text, in a way that is not served/,
    [
      ["general.architecture", string("phi3")],
      ["phi3.block_count", uint32(4)],
      ["phi3.pooling_type", uint32(3)],
    ],
  ],
  [
    "a model that sees both ways",
    "MODEL_NOT_LANGUAGE",
    /vectors, not text/,
    [["llama.attention.causal", { type: "bool", value: false }]],
  ],
  [
    "a shard",
    "MODEL_NOT_LANGUAGE",
    /a shard, layers 2 to 4 of 8/,
    [
      ["shoal.layer_start", uint32(2)],
      ["shoal.layer_end", uint32(4)],
      ["shoal.layer_count", uint32(8)],
    ],
  ],
  [
    "more layers than llama.cpp allows",
    "GGUF_LIMIT",
    /4294967295 layers/,
    [["llama.block_count", uint32(4_294_967_295)]],
  ],
  [
    "one layer more than the model has",
    "MODEL_TENSOR_MISSING",
    /tensor blk\.2\.\* is missing/,
    [["llama.block_count", uint32(3)]],
  ],
  [
    "one layer less than the model has",
    "MODEL_TENSOR_UNKNOWN",
    /'blk\.1\.attn_norm\.weight' does not belong to a llama model of 1 layers/,
    [["llama.block_count", uint32(1)]],
  ],
  [
    "another vocabulary than the table's",
    "GGUF_CORRUPT",
    /token_embd\.weight is \[64, 320\], the metadata says \[64, 2\]/,
    [
      [
        "tokenizer.ggml.tokens",
        { type: "array", element: "string", value: ["a", "b"] },
      ],
    ],
  ],
  [
    "another width than the table's",
    "GGUF_CORRUPT",
    /the metadata says \[128, 320\]/,
    [["llama.embedding_length", uint32(128)]],
  ],
  [
    "too few values per layer",
    "GGUF_CORRUPT",
    /head_count has 1 values for 2 layers/,
    [
      [
        "llama.attention.head_count",
        { type: "array", element: "uint32", value: Uint32Array.of(4) },
      ],
    ],
  ],
  [
    "values that differ by layer",
    "MODEL_ARCHITECTURE",
    /feed_forward_length that differs by layer/,
    [
      [
        "llama.feed_forward_length",
        { type: "array", element: "uint32", value: Uint32Array.of(96, 64) },
      ],
    ],
  ],
];

for (const [what, code, message, extraMetadata] of REFUSED) {
  test(`refused: ${what}`, async (t) => {
    await assert.rejects(describeRandom(t, { extraMetadata }), {
      code,
      message,
    });
  });
}

test("refused: a model without its table or a layer", async (t) => {
  for (const [left, missing] of [
    ["token_embd.weight", "token_embd.weight"],
    ["blk.1.", "blk.1.*"],
  ] as const) {
    const keepTensor = (name: string): boolean => !name.startsWith(left);
    await assert.rejects(describeRandom(t, { keepTensor }), {
      code: "MODEL_TENSOR_MISSING",
      message: `model.gguf: tensor ${missing} is missing`,
    });
  }
});

test("layers that only predict further tokens belong to no part", async (t) => {
  const { layerCount, parts } = await describeRandom(t, {
    extraMetadata: [["llama.nextn_predict_layers", uint32(1)]],
  });
  assert.equal(layerCount, 1);
  assert.ok(
    parts.every(({ tensors }) =>
      tensors.every(({ name }) => !name.startsWith("blk.1.")),
    ),
  );
});

test("refused: a tensor that the family does not have", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  const name = "v.patch_embd.weight";
  const data = new Uint8Array(4);
  await writeGguf(path, {
    metadata: new Map([
      ["general.architecture", string("llama")],
      ["llama.block_count", uint32(1)],
    ]),
    tensors: [{ name, type: "F32", shape: [1], data }],
  });
  const model = await openModel(path);
  assert.throws(() => describeModel(model), {
    code: "MODEL_TENSOR_UNKNOWN",
    details: { path, tensor: name },
  });
});

test("refused: a file without an architecture", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeGguf(path, { metadata: new Map(), tensors: [] });
  const model = await openModel(path);
  assert.throws(() => describeModel(model), { code: "MODEL_NOT_LANGUAGE" });
});

const vocabulary = testData("ggml-vocab-llama-spm.gguf");
test(
  "refused: a vocabulary without a model",
  { skip: vocabulary.skip },
  async () => {
    const model = await openModel(vocabulary.path);
    assert.throws(() => describeModel(model), {
      code: "MODEL_NOT_LANGUAGE",
      message: /a vocabulary, but no tensors/,
    });
  },
);

const stories = testData("stories260K.gguf");
test(
  "stories260K is a llama model of 5 layers",
  { skip: stories.skip },
  async () => {
    const { recipe, parts, ...rest } = describeModel(
      await openModel(stories.path),
    );
    assert.equal(recipe.name, "llama");
    assert.equal(parts.length, 8);
    assert.deepEqual(rest, {
      name: "llama",
      layerCount: 5,
      embeddingLength: 64,
      contextLength: 2048,
      vocabSize: 512,
      quantization: "F32",
      tied: false,
      cuts: { borders: [1, 2, 3, 4], needs: [], refusedLengths: [] },
      layerCosts: [2, 3, 4, 5, 6].map((part) =>
        parts[part]!.tensors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      ),
      // 4 heads of 8, keys and values, of 2 bytes each.
      layerMemory: Array(5).fill({
        bytesPerToken: 4 * 8 * 2 * 2,
        bytesPerSession: 0,
      }),
    });
  },
);

test("a model whose context holds no prompt is refused by that name", async (t) => {
  for (const contextLength of [0, 1, 15])
    await assert.rejects(describeRandom(t, { contextLength }), {
      code: "GGUF_CORRUPT",
      message: new RegExp(
        `llama\\.context_length is ${contextLength}: no prompt and reply fit`,
      ),
    });
  assert.equal(
    (await describeRandom(t, { contextLength: 16 })).contextLength,
    16,
  );
});
