import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder, testData } from "../../test/support/folder.ts";
import { inThreeFiles, writeRandomModel } from "../../test/support/models.ts";
import { merkleRoot } from "../lib/index.ts";
import { decodeManifest, manifestId } from "./manifest-codec.ts";
import { partById } from "./manifest.ts";
import { checkShard, readShard } from "./shard.ts";
import { splitModel } from "./split.ts";

async function randomModel(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 6, tied: true, vocab: "bytes" });
  return path;
}

test("a split is the shards of the plan, the manifest and the metadata part", async (t) => {
  const path = await randomModel(t);
  const outDir = join(dirname(path), "made/on/the/way");
  const phases = new Map<string, number>();
  const result = await splitModel({
    path,
    shards: 3,
    outDir,
    onProgress: ({ phase, doneBytes, totalBytes }) =>
      phases.set(phase, doneBytes / totalBytes),
  });
  assert.deepEqual((await readdir(outDir)).toSorted(), [
    "manifest.cbor",
    "metadata.gguf",
    "shard-0.gguf",
    "shard-1.gguf",
    "shard-2.gguf",
  ]);
  assert.deepEqual(
    [...phases],
    [
      ["index", 1],
      ["write", 1],
    ],
  );
  const bytes = await readFile(join(outDir, "manifest.cbor"));
  const manifest = decodeManifest(bytes);
  assert.deepEqual(manifest, result.manifest);
  assert.equal(manifestId(bytes), result.id);
  for (const shard of result.shards) {
    const info = await readShard(shard.path);
    assert.equal(info.sizeBytes, shard.sizeBytes);
    checkShard(info, manifest, shard);
  }
  const metadata = await readFile(join(outDir, "metadata.gguf"));
  assert.deepEqual(
    merkleRoot(metadata),
    Buffer.from(partById(manifest, "metadata").root),
  );
});

test("a model in several files gives the same shards except for the model's id in them", async (t) => {
  const path = await randomModel(t);
  const [one, many] = [join(dirname(path), "one"), join(dirname(path), "many")];
  const whole = await splitModel({ path, shards: 2, outDir: one });
  const parts = await splitModel({
    path: (await inThreeFiles(path))[1]!,
    shards: 2,
    outDir: many,
  });
  assert.notEqual(whole.id, parts.id);
  assert.equal(parts.manifest.files.length, 3);
  for (const i of [0, 1]) {
    const [a, b] = await Promise.all(
      [one, many].map((folder) =>
        readFile(join(folder, `shard-${i}.gguf`), "latin1"),
      ),
    );
    assert.ok(a === b?.replaceAll(parts.id, whole.id));
  }
});

for (const shards of [0, 7]) {
  test(`6 layers in ${shards} shards are refused before anything is written`, async (t) => {
    const path = await randomModel(t);
    await assert.rejects(
      splitModel({ path, shards, outDir: join(dirname(path), "out") }),
      { code: "MODEL_SHARDS" },
    );
    assert.deepEqual(await readdir(dirname(path)), ["model.gguf"]);
  });
}

test("a split that is aborted in the middle leaves everything unchanged", async (t) => {
  const path = await randomModel(t);
  const outDir = join(dirname(path), "out");
  await mkdir(outDir);
  await writeFile(join(outDir, "shard-0.gguf"), "older");
  for (const target of [outDir, join(dirname(path), "new/folder")]) {
    const stop = new AbortController();
    const split = splitModel({
      path,
      shards: 3,
      outDir: target,
      signal: stop.signal,
      onProgress: ({ phase, doneBytes, totalBytes }) => {
        if (phase === "write" && doneBytes > totalBytes / 2) stop.abort();
      },
    });
    await assert.rejects(split, { code: "ABORTED" });
  }
  assert.deepEqual((await readdir(dirname(path))).toSorted(), [
    "model.gguf",
    "out",
  ]);
  assert.deepEqual(await readdir(outDir), ["shard-0.gguf"]);
  assert.equal(await readFile(join(outDir, "shard-0.gguf"), "utf8"), "older");
});

test("shards never overwrite the model they are cut from", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "shard-0.gguf");
  await writeRandomModel(path, { layers: 2 });
  await assert.rejects(splitModel({ path, shards: 2, outDir: folder }), {
    code: "USAGE",
  });
  assert.deepEqual(await readdir(folder), ["shard-0.gguf"]);
});

test("an impossible output folder is an error", async (t) => {
  const path = await randomModel(t);
  await assert.rejects(
    splitModel({ path, shards: 2, outDir: join(path, "inside-a-file") }),
    { code: "FILE_UNWRITABLE" },
  );
});

const stories = testData("stories260K.gguf");
test(
  "stories260K is cut into 1 to 5 shards",
  { skip: stories.skip },
  async (t) => {
    const folder = await temporaryFolder(t);
    for (let shards = 1; shards <= 5; shards++) {
      const { shards: made } = await splitModel({
        path: stories.path,
        shards,
        outDir: join(folder, String(shards)),
      });
      assert.equal(made.length, shards);
    }
  },
);
