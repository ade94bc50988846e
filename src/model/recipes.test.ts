/** What recipes do to metadata: where a model may be cut, what its shards are told, and what is refused because llama.cpp counts layers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  GgufMetadata,
  GgufModel,
  GgufTensor,
  GgufValue,
} from "../gguf/index.ts";
import { cutRules } from "./cut-rules.ts";
import { describeModel } from "./describe.ts";
import { recipeOf, refuseOlderEngine, SERVED } from "./recipes/index.ts";
import { shardMetadata } from "./shard-metadata.ts";

const LAYERS = 8;
const uint32 = (value: number): GgufValue => ({ type: "uint32", value });
const perLayer = (...value: number[]): GgufValue => ({
  type: "array",
  element: "uint32",
  value: Uint32Array.from(value),
});

/** Keys are those after the architecture's name. */
function metadataOf(
  architecture: string,
  keys: Readonly<Record<string, GgufValue>> = {},
): GgufMetadata {
  const own = { block_count: uint32(LAYERS), ...keys };
  return new Map<string, GgufValue>([
    ["general.architecture", { type: "string", value: architecture }],
    ...Object.entries(own).map(([key, value]): [string, GgufValue] => [
      `${architecture}.${key}`,
      value,
    ]),
  ]);
}

function shardOf(
  architecture: string,
  [layerStart, layerEnd]: [number, number],
  keys: Readonly<Record<string, GgufValue>> = {},
): (key: string) => unknown {
  const told = shardMetadata(
    recipeOf(architecture),
    metadataOf(architecture, keys),
    {
      layerStart,
      layerEnd,
      layerCount: LAYERS,
      embeddingLength: 64,
      manifest: "m",
    },
  );
  return (key) => {
    const value = told.get(`${architecture}.${key}`)?.value;
    return ArrayBuffer.isView(value) ? [...(value as Uint32Array)] : value;
  };
}

test("a period of sliding layers goes on in the second shard, wherever it begins", () => {
  const told = shardOf("gemma3", [4, 8]);
  assert.deepEqual(told("attention.sliding_window_pattern"), [1, 0, 1, 1]);
});

test("a shard without a sliding layer names one behind its own", () => {
  const told = shardOf("gemma2", [1, 2]);
  assert.deepEqual(told("attention.sliding_window_pattern"), [0, 1]);
  assert.deepEqual([told("block_count"), told("nextn_predict_layers")], [2, 1]);
});

test("a residual scale that llama.cpp takes from the number of layers is the whole model's", () => {
  const told = shardOf("minicpm", [0, 2]);
  const scale = Math.fround(Math.fround(1.4) / Math.fround(Math.sqrt(LAYERS)));
  assert.equal(told("residual_scale"), scale);
  const given = { residual_scale: { type: "float32", value: 0.5 } } as const;
  assert.equal(shardOf("minicpm", [0, 2], given)("residual_scale"), 0.5);
});

test("numbers of first layers are counted from the shard's first", () => {
  const keys = { leading_dense_block_count: uint32(3) };
  const count = "leading_dense_block_count";
  assert.equal(shardOf("deepseek2", [2, 8], keys)(count), 1);
  assert.equal(shardOf("deepseek2", [4, 8], keys)(count), 0);
});

test("layers that only predict further tokens are in no shard", () => {
  const keys = {
    nextn_predict_layers: uint32(1),
    "attention.head_count_kv": perLayer(...Array<number>(LAYERS).fill(2)),
  };
  const told = shardOf("glm4moe", [4, 7], keys);
  assert.deepEqual([told("block_count"), told("nextn_predict_layers")], [3, 0]);
  const { borders } = cutRules(
    recipeOf("glm4moe"),
    metadataOf("glm4moe", keys),
  );
  assert.equal(borders.at(-1), LAYERS - 2);
});

test("a layer that uses the index of the one before it begins no shard", () => {
  const rules = (keys = {}): readonly number[] =>
    cutRules(recipeOf("glm-dsa"), metadataOf("glm-dsa", keys)).borders;
  const types = perLayer(1, 0, 0, 1, 0, 1, 1, 0);
  assert.deepEqual(rules({ "attention.indexer.types": types }), [3, 5, 6]);
  assert.deepEqual(rules(), [1, 2, 3, 4, 5, 6, 7]);
});

test("layers that read the token ids stay in the first shard", () => {
  const keys = { hash_layer_count: uint32(3) };
  const { borders } = cutRules(
    recipeOf("deepseek4"),
    metadataOf("deepseek4", keys),
  );
  assert.deepEqual(borders, [3, 4, 5, 6, 7]);
});

test("a hybrid's shards need both kinds of layers", () => {
  const heads = perLayer(0, 0, 2, 0, 0, 2, 0, 0);
  const { needs } = cutRules(
    recipeOf("jamba"),
    metadataOf("jamba", { "attention.head_count_kv": heads }),
  );
  assert.deepEqual(needs, [
    [0, 1, 3, 4, 6, 7],
    [2, 5],
  ]);
});

const REFUSED: readonly [
  architecture: string,
  keys: Readonly<Record<string, GgufValue>>,
  why: RegExp,
][] = [
  ["command-r", { block_count: uint32(64) }, /with 64 layers .* Command R\+/],
  ["gemma3", { block_count: uint32(62) }, /with 62 layers .* Gemma 3 27B/],
  [
    "llama4",
    { "attention.sliding_window": uint32(0) },
    /with attention\.sliding_window 0 is not supported/,
  ],
  [
    "deepseek2",
    { block_count: uint32(47) },
    /without expert_gating_func is not supported/,
  ],
  [
    "glm-dsa",
    { context_length: uint32(1_048_576) },
    /without attention\.indexer\.types is not supported/,
  ],
  ["nanbeige", { num_loops: uint32(2) }, /with num_loops 2 /],
  [
    "granite",
    { deepstack_mapping: perLayer(1, 0, 1, 1, 1, 1, 1, 1) },
    /with a 0 in deepstack_mapping/,
  ],
];

for (const [architecture, keys, message] of REFUSED) {
  test(`refused: ${architecture} ${Object.keys(keys).join(", ")}`, () => {
    assert.throws(() => describeModel(model(architecture, keys)), {
      code: "MODEL_ARCHITECTURE",
      message,
    });
  });
}

test("refused: a further layer that has nothing to predict with, where llama.cpp computes it", () => {
  const keys = { nextn_predict_layers: uint32(1) };
  assert.throws(() => describeModel(model("deepseek4", keys)), {
    code: "MODEL_TENSOR_MISSING",
    message: /tensor blk\.7\.nextn\.\* is missing/,
  });
});

function model(
  architecture: string,
  keys: Readonly<Record<string, GgufValue>>,
): GgufModel {
  const names = [
    "token_embd.weight",
    ...Array.from({ length: LAYERS }, (_, i) => `blk.${i}.attn_norm.weight`),
    "output_norm.weight",
  ];
  const tensors = names.map((name): GgufTensor => ({
    name,
    type: "F32",
    shape: [64],
    fileIndex: 0,
    offset: 0,
    sizeBytes: 256,
  }));
  const metadata = metadataOf(architecture, keys);
  const files = [{ path: "model.gguf", sizeBytes: 4096 }];
  return { metadata, tensors, files, dataOffset: 0 };
}

test("an older llama.cpp is refused for the architectures that need a newer one, and for no other", () => {
  for (const { name, since } of SERVED) {
    for (const version of ["0.5.0", "0.5.1", "0.10.0", "1.0.0"])
      refuseOlderEngine(name, version);
    if (since === undefined) refuseOlderEngine(name, "0.4.0");
    else
      assert.throws(() => refuseOlderEngine(name, "0.4.0"), {
        code: "MODEL_ARCHITECTURE",
      });
  }
  assert.equal(SERVED.filter(({ since }) => since === "0.5.0").length, 15);
});
