import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openModel } from "../gguf/index.ts";
import { merkleRoot } from "../lib/index.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { assembleFromParts, partsOf } from "./assemble-parts.ts";
import { assembleShard } from "./assemble.ts";
import { buildManifest } from "./build-manifest.ts";
import { PartReader } from "./parts.ts";

for (const tied of [true, false]) {
  test(`a shard made of parts is byte for byte the one cut from the model (${tied ? "tied" : "separate"} head)`, async (t) => {
    const folder = await temporaryFolder(t);
    const model = join(folder, "model.gguf");
    await writeRandomModel(model, {
      layers: 4,
      tied,
      vocab: "bytes",
      ropeFreqs: true,
    });
    const source = await openModel(model);
    const manifest = await buildManifest(source);
    await using reader = new PartReader(source);
    const partPath = (id: string): string => join(folder, `${id}.part`);
    for (const part of manifest.parts) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of reader.part(part)) chunks.push(chunk.slice());
      const bytes = Buffer.concat(chunks);
      assert.deepEqual([...merkleRoot(bytes)], [...part.root], part.id);
      await writeFile(partPath(part.id), bytes);
    }
    for (const [layerStart, layerEnd] of [
      [0, 4],
      [0, 1],
      [1, 3],
      [2, 4],
      [3, 4],
    ] as const) {
      const range = { layerStart, layerEnd };
      const [cut, made] = [join(folder, "cut.gguf"), join(folder, "made.gguf")];
      await assembleShard({ source, manifest, range, path: cut });
      const needed = new Set(partsOf(manifest, range).map(({ id }) => id));
      await assembleFromParts({
        manifest,
        range,
        partPath: (id) =>
          needed.has(id) ? partPath(id) : join(folder, "not needed"),
        path: made,
      });
      assert.ok(
        (await readFile(made)).equals(await readFile(cut)),
        `${layerStart}-${layerEnd}`,
      );
    }
  });
}
