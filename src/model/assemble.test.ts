import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import {
  writeRandomModel,
  type RandomArchitecture,
  type RandomModelOptions,
} from "../../test/support/models.ts";
import {
  openModel,
  readGguf,
  type GgufModel,
  type GgufValue,
} from "../gguf/index.ts";
import { merkleRoot } from "../lib/index.ts";
import { assembleShard } from "./assemble.ts";
import { buildManifest } from "./build-manifest.ts";
import { shardLayout } from "./layout.ts";
import { encodeManifest, manifestId } from "./manifest-codec.ts";
import { partById, type Manifest } from "./manifest.ts";
import type { LayerRange } from "./plan.ts";

const LAYERS = 4;

interface Original {
  folder: string;
  path: string;
  bytes: Buffer;
  source: GgufModel;
  manifest: Manifest;
}

async function original(
  t: TestContext,
  options: RandomModelOptions = {},
): Promise<Original> {
  const folder = await temporaryFolder(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, {
    layers: LAYERS,
    vocab: "bytes",
    ropeFreqs: true,
    chatTemplate: "{{ messages }}",
    ...options,
  });
  const source = await openModel(path);
  return {
    folder,
    path,
    bytes: await readFile(path),
    source,
    manifest: await buildManifest(source),
  };
}

/** The shard's file, its bytes and what its header says. */
async function assembled(
  { folder, source, manifest }: Original,
  layerStart: number,
  layerEnd: number,
) {
  const path = join(folder, `shard-${layerStart}-${layerEnd}.gguf`);
  const range = { layerStart, layerEnd };
  const size = await assembleShard({ source, manifest, range, path });
  const bytes = await readFile(path);
  assert.equal(bytes.length, size);
  const file = await readGguf(path);
  const data = new Map(
    file.tensors.map((t) => [
      t.name,
      bytes.subarray(t.offset, t.offset + t.sizeBytes),
    ]),
  );
  return { path, bytes, file, data };
}

function originalData({ bytes, source }: Original, name: string): Buffer {
  const { offset, sizeBytes } = source.tensors.find(
    (tensor) => tensor.name === name,
  )!;
  return bytes.subarray(offset, offset + sizeBytes);
}

const valueOf = (
  metadata: ReadonlyMap<string, GgufValue>,
  key: string,
): unknown => metadata.get(key)?.value;

/** Where a part begins in the shard: the position of its first tensor, under its name there. */
function partAt(
  bytes: Buffer,
  manifest: Manifest,
  id: string,
  offset: number,
): void {
  const part = partById(manifest, id);
  assert.deepEqual(
    merkleRoot(bytes.subarray(offset, offset + part.sizeBytes)),
    Buffer.from(part.root),
    `part ${id} at ${offset}`,
  );
}

const FAMILIES: readonly [RandomArchitecture, shared: string[]][] = [
  ["llama", ["rope_freqs.weight"]],
  ["llama-moe", ["rope_freqs.weight"]],
  ["qwen2", []],
  ["qwen3", []],
  ["qwen3moe", []],
  ["phi3", ["rope_factors_long.weight", "rope_factors_short.weight"]],
];
const RANGES: readonly LayerRange[] = [
  { layerStart: 0, layerEnd: 2 },
  { layerStart: 0, layerEnd: 3 },
  { layerStart: 2, layerEnd: 3 },
  { layerStart: 2, layerEnd: 4 },
  { layerStart: 3, layerEnd: 4 },
  { layerStart: 0, layerEnd: 4 },
];

for (const [architecture, shared] of FAMILIES) {
  for (const tied of [false, true]) {
    test(`shards of a ${tied ? "tied " : ""}${architecture} model have the original's tensors, renumbered`, async (t) => {
      const model = await original(t, {
        architecture,
        tied,
        outputBias: !tied,
      });
      const outputs = architecture === "qwen2" && !tied ? ["output.bias"] : [];
      for (const { layerStart, layerEnd } of RANGES) {
        const { file, data, bytes } = await assembled(
          model,
          layerStart,
          layerEnd,
        );
        const isWhole = layerEnd - layerStart === LAYERS;
        const isLast = layerEnd === LAYERS;

        const expected = new Map<string, Buffer>(
          shared.map((name) => [name, originalData(model, name)]),
        );
        for (const { name } of model.source.tensors) {
          const [, index, rest] = /^blk\.(\d+)\.(.*)$/.exec(name) ?? [];
          if (index === undefined || +index < layerStart || +index >= layerEnd)
            continue;
          expected.set(
            `blk.${+index - layerStart}.${rest}`,
            originalData(model, name),
          );
        }
        if (isWhole) {
          for (const { name } of model.source.tensors)
            expected.set(name, originalData(model, name));
        } else if (isLast) {
          expected.set(
            "token_embd.weight",
            originalData(model, tied ? "token_embd.weight" : "output.weight"),
          );
          for (const name of ["output_norm.weight", ...outputs])
            expected.set(name, originalData(model, name));
        } else {
          expected.set("token_embd.weight", Buffer.alloc(64 * 4));
          // Zeros, since nobody computes with them.
          expected.set("output_norm.weight", Buffer.alloc(64 * 4));
          for (const name of outputs) expected.set(name, Buffer.alloc(4));
        }
        assert.deepEqual(
          [...data.keys()].toSorted(),
          [...expected.keys()].toSorted(),
        );
        for (const [name, content] of expected)
          assert.ok(data.get(name)?.equals(content), name);

        // llama.cpp wants data dense and in the order of the table.
        let next = file.dataOffset;
        for (const tensor of file.tensors) {
          assert.equal(tensor.offset, next);
          next += Math.ceil(tensor.sizeBytes / 32) * 32;
        }
        // After it comes a first shard's embedding table, or nothing.
        const table =
          layerStart === 0 && !isLast
            ? originalData(model, "token_embd.weight")
            : Buffer.alloc(0);
        assert.equal(bytes.length, next + Math.ceil(table.length / 32) * 32);
        assert.ok(bytes.subarray(next, next + table.length).equals(table));
      }
    });
  }
}

test("a shard before the last has no vocabulary, describes itself, and counts its layers", async (t) => {
  const model = await original(t);
  const { file } = await assembled(model, 1, 3);
  const { metadata } = file;
  assert.equal(valueOf(metadata, "llama.block_count"), 2);
  assert.equal(valueOf(metadata, "llama.vocab_size"), 1);
  assert.deepEqual(
    [...metadata.keys()].filter((key) => key.startsWith("tokenizer.")),
    ["tokenizer.ggml.model"],
  );
  assert.equal(valueOf(metadata, "tokenizer.ggml.model"), "no_vocab");
  assert.equal(valueOf(metadata, "general.name"), "Random weights");
  assert.deepEqual(
    [...metadata].filter(([key]) => key.startsWith("shoal.")),
    [
      [
        "shoal.manifest",
        { type: "string", value: manifestId(encodeManifest(model.manifest)) },
      ],
      ["shoal.layer_start", { type: "uint32", value: 1 }],
      ["shoal.layer_end", { type: "uint32", value: 3 }],
      ["shoal.layer_count", { type: "uint32", value: 4 }],
    ],
  );
});

test("the first shard says where its embedding table is", async (t) => {
  const model = await original(t, { type: "Q8_0" });
  const { file, bytes } = await assembled(model, 0, 1);
  const { metadata } = file;
  const offset = Number(valueOf(metadata, "shoal.embedding.offset"));
  assert.equal(valueOf(metadata, "shoal.embedding.type"), 8);
  assert.equal(valueOf(metadata, "shoal.embedding.rows"), 320);
  assert.equal(
    valueOf(metadata, "shoal.embedding.size"),
    BigInt((64 / 32) * 34 * 320),
  );
  assert.equal(offset % 32, 0);
  partAt(bytes, model.manifest, "embedding", offset);
});

test("the last shard and a shard of all layers keep vocabulary and chat template", async (t) => {
  const model = await original(t);
  for (const start of [0, 3]) {
    const { metadata } = (await assembled(model, start, 4)).file;
    for (const [key, value] of model.source.metadata) {
      if (key !== "llama.block_count")
        assert.deepEqual(metadata.get(key), value);
    }
    assert.equal(valueOf(metadata, "llama.block_count"), 4 - start);
    assert.ok(
      ![...metadata.keys()].some((key) => key.startsWith("shoal.embedding")),
    );
  }
});

test("arrays with one value per layer are cut with the layers", async (t) => {
  const heads: GgufValue = {
    type: "array",
    element: "uint32",
    value: Uint32Array.of(4, 4, 4, 4),
  };
  const model = await original(t, {
    extraMetadata: [["llama.attention.head_count", heads]],
  });
  const { metadata } = (await assembled(model, 1, 3)).file;
  assert.deepEqual(metadata.get("llama.attention.head_count"), {
    ...heads,
    value: Uint32Array.of(4, 4),
  });
});

test("each part is one range of the shard, even if the original has another alignment", async (t) => {
  for (const alignment of [8, 256]) {
    const model = await original(t, {
      // Rows of 40 bytes: what is padded to 8 is not padded to 32.
      embeddingLength: 20,
      heads: 2,
      kvHeads: 1,
      feedForward: 12,
      type: "F16",
      extraMetadata: [
        ["general.alignment", { type: "uint32", value: alignment }],
      ],
    });
    const { manifest, source } = model;
    for (const range of RANGES) {
      const { bytes, file } = await assembled(
        model,
        range.layerStart,
        range.layerEnd,
      );
      assert.equal(file.alignment, 32);
      const layout = shardLayout(manifest, source.metadata, range);
      let offset = layout.header.length;
      for (const segment of layout.segments) {
        const size = "zeros" in segment ? segment.zeros : segment.sizeBytes;
        if ("part" in segment && segment.part !== "metadata")
          partAt(bytes, manifest, segment.part, offset);
        offset += size;
      }
      assert.equal(offset, bytes.length);
    }
  }
});

test("a range gives the same file every time", async (t) => {
  const model = await original(t);
  const first = await assembled(model, 1, 3);
  const again = await assembled(model, 1, 3);
  assert.ok(first.bytes.equals(again.bytes));
});

test("a model of the same size with other weights is detected, and no shard is left", async (t) => {
  const model = await original(t);
  for (const id of ["metadata", "layer.2"]) {
    const changed = Buffer.from(model.bytes);
    const { offset } = partById(model.manifest, id).tensors[0]!;
    changed[offset] = changed[offset]! ^ 1;
    await writeFile(model.path, changed);
    const before = await readdir(model.folder);
    await assert.rejects(assembled(model, 2, 4), {
      code: "SHARD_FOREIGN",
      message: `model.gguf: its ${id} differs from the manifest's`,
    });
    assert.deepEqual(await readdir(model.folder), before);
  }
});

test("a model of another size is refused before it is read", async (t) => {
  const model = await original(t);
  const other = await original(t, { layers: 3 });
  await assert.rejects(assembled({ ...model, source: other.source }, 0, 2), {
    code: "SHARD_FOREIGN",
  });
});

for (const [start, end] of [
  [-1, 2],
  [2, 2],
  [3, 5],
  [0.5, 2],
  [NaN, 2],
] as const) {
  test(`there are no layers ${start} to ${end}`, async (t) => {
    const model = await original(t);
    await assert.rejects(assembled(model, start, end), {
      code: "MODEL_SHARDS",
    });
  });
}

test("an abort leaves nothing behind", async (t) => {
  const { source, manifest, folder } = await original(t);
  const stop = new AbortController();
  const before = await readdir(folder);
  const options = {
    source,
    manifest,
    range: { layerStart: 0, layerEnd: 2 },
    path: join(folder, "shard.gguf"),
  };
  const aborted = assembleShard({
    ...options,
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  await assert.rejects(aborted, { code: "ABORTED" });
  assert.deepEqual(await readdir(folder), before);
});
