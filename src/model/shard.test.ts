import assert from "node:assert/strict";
import { truncate } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder, testData } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { openModel, writeGguf, type GgufValue } from "../gguf/index.ts";
import { assembleShard } from "./assemble.ts";
import { buildManifest } from "./build-manifest.ts";
import { encodeManifest, manifestId } from "./manifest-codec.ts";
import type { Manifest } from "./manifest.ts";
import { checkShard, readShard, type ShardInfo } from "./shard.ts";

async function model(
  t: TestContext,
  seed = 1,
): Promise<{ path: string; manifest: Manifest; id: string }> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 4, seed, contextLength: 128 });
  const manifest = await buildManifest(await openModel(path));
  return { path, manifest, id: manifestId(encodeManifest(manifest)) };
}

async function shardOf(
  path: string,
  manifest: Manifest,
  layerStart: number,
  layerEnd: number,
): Promise<ShardInfo> {
  const shard = join(path, `../${layerStart}-${layerEnd}.gguf`);
  await assembleShard({
    source: await openModel(path),
    manifest,
    range: { layerStart, layerEnd },
    path: shard,
  });
  return readShard(shard);
}

test("a shard describes its input and output", async (t) => {
  const { path, manifest, id } = await model(t);
  const common = {
    manifestId: id,
    architecture: "llama",
    layerCount: 4,
    embeddingLength: 64,
    contextLength: 128,
    takesTokens: false,
    scalesRows: false,
    activationLength: 64,
    embeds: false,
    injectTensor: undefined,
  };
  for (const [layerStart, layerEnd, expected] of [
    [0, 1, { isFirst: true, isLast: false, boundaryTensor: "l_out-0" }],
    [1, 3, { isFirst: false, isLast: false, boundaryTensor: "l_out-1" }],
    [1, 4, { isFirst: false, isLast: true, boundaryTensor: "l_out-2" }],
    [0, 4, { isFirst: true, isLast: true, boundaryTensor: "l_out-3" }],
  ] as const) {
    const info = await shardOf(path, manifest, layerStart, layerEnd);
    const { path: _, sizeBytes, dataSizeBytes, embedding, ...rest } = info;
    assert.deepEqual(rest, { ...common, ...expected, layerStart, layerEnd });
    assert.ok(dataSizeBytes < sizeBytes);
    // 320 rows of 64 floats at the file's end.
    const table = {
      type: 0,
      offset: sizeBytes - 320 * 64 * 4,
      sizeBytes: 320 * 64 * 4,
      rows: 320,
    };
    assert.deepEqual(
      embedding,
      layerStart === 0 && layerEnd < 4 ? table : undefined,
    );
  }
});

test("of a model that pools its last token the last shard gives embeddings", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { architecture: "qwen3", pooling: 3 });
  const manifest = await buildManifest(await openModel(path));
  assert.equal((await readShard(path)).embeds, true);
  for (const [layerStart, layerEnd, embeds] of [
    [0, 2, false],
    [2, 4, true],
    [0, 4, true],
  ] as const) {
    const info = await shardOf(path, manifest, layerStart, layerEnd);
    assert.equal(info.embeds, embeds, `${layerStart} to ${layerEnd}`);
  }
});

test("a plain GGUF is the shard of all its layers", async (t) => {
  const { path, manifest } = await model(t);
  const info = await readShard(path);
  assert.equal(info.manifestId, undefined);
  assert.deepEqual(
    [info.layerStart, info.layerEnd, info.isFirst, info.isLast],
    [0, 4, true, true],
  );
  checkShard(info, manifest, { layerStart: 0, layerEnd: 4 });
});

test("the wanted shard is accepted, every other is refused with the reason", async (t) => {
  const { path, manifest } = await model(t);
  const stranger = await model(t, 2);
  for (const [layerStart, layerEnd] of [
    [0, 2],
    [1, 3],
    [2, 4],
    [0, 4],
  ] as const) {
    const range = { layerStart, layerEnd };
    const info = await shardOf(path, manifest, layerStart, layerEnd);
    checkShard(info, manifest, range);
    const refused = (candidate: ShardInfo, message: RegExp): void =>
      assert.throws(() => checkShard(candidate, manifest, range), {
        code: "SHARD_FOREIGN",
        message,
      });
    refused(
      await shardOf(stranger.path, stranger.manifest, layerStart, layerEnd),
      /a shard of another model \(bafy/,
    );
    refused(
      await shardOf(path, manifest, 0, 1),
      /layers 0 to 1 of 4, expected \d to \d of 4/,
    );
    refused(
      { ...info, dataSizeBytes: info.dataSizeBytes - 1 },
      /bytes of llama, expected/,
    );
  }
});

test("a shard cut off inside its embedding table is refused", async (t) => {
  const { path, manifest } = await model(t);
  const info = await shardOf(path, manifest, 0, 2);
  await truncate(info.path, info.sizeBytes - 1);
  await assert.rejects(readShard(info.path), { code: "GGUF_TRUNCATED" });
});

const uint32 = (value: number): GgufValue => ({ type: "uint32", value });
const uint64 = (value: bigint): GgufValue => ({ type: "uint64", value });

const WRONG: readonly [key: string, value: GgufValue, code: string][] = [
  [
    "general.architecture",
    { type: "string", value: "gemma3n" },
    "MODEL_ARCHITECTURE",
  ],
  ["shoal.layer_end", uint32(5), "GGUF_CORRUPT"],
  ["shoal.layer_end", uint32(0), "GGUF_CORRUPT"],
  ["shoal.layer_start", { type: "string", value: "0" }, "GGUF_CORRUPT"],
  ["llama.block_count", uint32(3), "GGUF_CORRUPT"],
  ["llama.embedding_length", uint32(0), "GGUF_CORRUPT"],
  ["shoal.embedding.type", uint32(4), "GGUF_CORRUPT"],
  ["shoal.embedding.rows", uint32(0), "GGUF_CORRUPT"],
  ["shoal.embedding.rows", uint32(321), "GGUF_CORRUPT"],
  ["shoal.embedding.size", uint64(2n ** 63n), "GGUF_CORRUPT"],
  ["shoal.embedding.offset", uint64(0n), "GGUF_CORRUPT"],
  ["shoal.embedding.offset", uint64(2n ** 40n), "GGUF_TRUNCATED"],
];

for (const [i, [key, value, code]] of WRONG.entries()) {
  test(`a shard with a wrong ${key} is refused (${i})`, async (t) => {
    const { path, manifest } = await model(t);
    const info = await shardOf(path, manifest, 0, 2);
    const file = await openModel(info.path);
    const changed = join(path, "../changed.gguf");
    const tensors = file.tensors.map(
      ({ name, type, shape, offset, sizeBytes }) => ({
        name,
        type,
        shape,
        data: { path: info.path, offset, sizeBytes },
      }),
    );
    await writeGguf(changed, {
      metadata: new Map([...file.metadata, [key, value]]),
      tensors,
    });
    await assert.rejects(readShard(changed), { code });
  });
}

const stories = testData("stories260K.gguf");
test("stories260K is a shard of 5 layers", { skip: stories.skip }, async () => {
  const info = await readShard(stories.path);
  assert.equal(info.layerCount, 5);
  assert.equal(info.sizeBytes, 1_185_376);
  assert.equal(info.boundaryTensor, "l_out-4");
});
