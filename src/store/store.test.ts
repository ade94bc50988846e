import assert from "node:assert/strict";
import {
  copyFile,
  mkdir,
  open,
  readFile,
  rm,
  writeFile,
} from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { inThreeFiles, writeRandomModel } from "../../test/support/models.ts";
import { openModel, writeGguf } from "../gguf/index.ts";
import { isShoalError, merkleRoot } from "../lib/index.ts";
import {
  encodeManifest,
  partById,
  splitModel,
  type Manifest,
} from "../model/index.ts";
import { toRoot } from "./piece-tree.ts";
import {
  MODEL,
  named,
  read,
  rootsOf,
  storeFixture,
  until,
} from "../../test/fakes/store-folders.ts";
import { PIECE_BYTES, type Root } from "./types.ts";

function rootOf(manifest: Manifest, part: string): Root {
  return toRoot(partById(manifest, part).root);
}

/** Its heads' norms take 80 bytes, which are padded to 96. */
const PADDED_MODEL = {
  architecture: "qwen3",
  layers: 2,
  embeddingLength: 80,
} as const;

for (const [kind, model] of [
  ["with pieces in several tensors", MODEL],
  ["with zeros between its tensors", PADDED_MODEL],
] as const) {
  test(`an original ${kind} is shared whole and in parts, straight from its bytes, with its manifest`, async (t) => {
    const { models, folder, start } = await storeFixture(t);
    const path = join(models, "model.gguf");
    await writeRandomModel(path, model);
    const { manifest, id } = await splitModel({
      path,
      shards: 2,
      outDir: join(folder, "split"),
    });
    const store = await start();
    assert.equal(store.list().length, manifest.parts.length + 2);
    for (const { id: part, root, sizeBytes } of manifest.parts) {
      const content = store.get(toRoot(root));
      assert.equal(content?.metadata.sizeBytes, sizeBytes, part);
      assert.equal(content.kind, "part");
      assert.equal(content.name, `${part} of Random weights`);
      assert.equal(content.manifest, id);
      const bytes = await read(store, toRoot(root));
      assert.deepEqual(merkleRoot(bytes), Buffer.from(root), part);
      if (part === "metadata") continue;
      assert.ok(content.ranges.every((r) => r.path === path || r.path === ""));
    }
    assert.equal(
      store.list().some(({ ranges }) => ranges.some((r) => r.path === "")),
      model === PADDED_MODEL,
    );
    const whole = named(store, "model.gguf");
    assert.equal(whole.kind, "file");
    assert.equal(whole.manifest, id);
    assert.ok(
      (await readFile(path)).equals(await read(store, whole.metadata.root)),
    );
    const known = store.manifests().get(id);
    assert.deepEqual(known?.manifest, manifest);
    const bytes = await read(store, known.root ?? "");
    assert.ok(bytes.equals(encodeManifest(manifest)));
  });
}

test("of a file that is named itself, what lies beside it is not shared", async (t) => {
  const { models, start } = await storeFixture(t);
  const path = join(models, "model.gguf");
  await writeRandomModel(path, MODEL);
  await copyFile(path, join(models, "private.gguf"));
  await writeFile(join(models, "notes.txt"), "mine");
  const store = await start({ directories: [path] });
  const paths = store.list().flatMap(({ ranges }) => ranges.map((r) => r.path));
  assert.ok(paths.includes(path));
  assert.deepEqual(
    paths.filter((each) => each.startsWith(models) && each !== path),
    [],
  );
});

test("shards share the parts in them from their positions", async (t) => {
  const { models, folder, start } = await storeFixture(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, MODEL);
  const { manifest, id } = await splitModel({
    path,
    shards: 3,
    outDir: models,
  });
  const store = await start();
  for (const { id: part, root } of manifest.parts) {
    const content = store.get(toRoot(root));
    assert.equal(content?.kind, "part", part);
    assert.equal(content.manifest, id);
    const bytes = await read(store, toRoot(root));
    assert.deepEqual(merkleRoot(bytes), Buffer.from(root), part);
  }
  // The first shard's, behind its tensors, and as the last one's head.
  const table = rootOf(manifest, "embedding");
  assert.ok(store.get(table)?.ranges[0]?.path.startsWith(models));
  await rm(join(models, "shard-0.gguf"));
  await store.rescan();
  await read(store, table);
  for (const shard of [1, 2]) {
    const content = named(store, `shard-${shard}.gguf`);
    assert.equal(content.kind, "shard");
    assert.equal(content.manifest, id);
  }
});

test("a shard without its manifest is shared whole, and in parts once the manifest arrives", async (t) => {
  const { models, folder, start } = await storeFixture(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, MODEL);
  const outDir = join(folder, "split");
  const { manifest, id } = await splitModel({ path, shards: 2, outDir });
  await copyFile(join(outDir, "shard-1.gguf"), join(models, "some.gguf"));
  const store = await start();
  assert.deepEqual(
    store.list().map(({ name, kind, manifest: of }) => [name, kind, of]),
    [["some.gguf", "shard", id]],
  );
  await copyFile(join(outDir, "manifest.cbor"), join(models, "any.cbor"));
  await until(store, () => store.list().length === 2 + 4);
  await read(store, rootOf(manifest, "layer.3"));
});

test("a shard that does not match its manifest gives no parts", async (t) => {
  const { models, folder, start, events } = await storeFixture(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, MODEL);
  const { manifest } = await splitModel({ path, shards: 2, outDir: models });
  const shard = join(models, "shard-1.gguf");
  const { offset } = (await openModel(shard)).tensors.find(
    ({ name }) => name === "blk.1.attn_q.weight",
  )!;
  const file = await open(shard, "r+");
  await file.write(Buffer.from("damage"), 0, 6, offset + 5);
  await file.close();
  const store = await start();
  assert.equal(store.get(rootOf(manifest, "layer.3")), undefined);
  assert.ok(store.get(rootOf(manifest, "layer.2")));
  assert.equal(named(store, "shard-1.gguf").kind, "shard");
  assert.ok(
    events.some(
      ({ level, fields }) =>
        level === "warn" && fields.name === "layer.3 of Random weights",
    ),
  );
});

test("two nodes that index the same bytes under other names have the same ids", async (t) => {
  const [a, b] = [await storeFixture(t), await storeFixture(t)];
  await writeRandomModel(join(a.models, "model.gguf"), MODEL);
  await mkdir(join(b.models, "deep/down"), { recursive: true });
  await copyFile(
    join(a.models, "model.gguf"),
    join(b.models, "deep/down/renamed.gguf"),
  );
  const [one, other] = [await a.start(), await b.start()];
  assert.ok(rootsOf(one).length > 6);
  assert.deepEqual(rootsOf(one), rootsOf(other));
  assert.deepEqual([...one.manifests().keys()], [...other.manifests().keys()]);
});

test("a model in several files is shared by file and by part, once all its files are here", async (t) => {
  const { models, folder, start } = await storeFixture(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, MODEL);
  const { manifest } = await splitModel({
    path,
    shards: 1,
    outDir: join(folder, "split"),
  });
  const [first = "", second = "", last = ""] = await inThreeFiles(path);
  for (const part of [first, second])
    await copyFile(part, join(models, basename(part)));
  const store = await start();
  assert.deepEqual(
    store.list().map(({ name, kind }) => [name, kind]),
    [
      ["many-00001-of-00003.gguf", "file"],
      ["many-00002-of-00003.gguf", "file"],
    ],
  );
  await copyFile(last, join(models, basename(last)));
  await until(store, () => store.manifests().size === 1);
  await store.rescan();
  for (const { id, root } of manifest.parts) {
    const bytes = await read(store, toRoot(root));
    assert.deepEqual(merkleRoot(bytes), Buffer.from(root), id);
  }
  assert.equal(store.summary().additional, 3);
});

test("a GGUF that is not a language model is a file like any other", async (t) => {
  const { models, start } = await storeFixture(t);
  const path = join(models, "adapter.gguf");
  await writeGguf(path, {
    metadata: new Map([
      ["general.architecture", { type: "string", value: "clip" }],
    ]),
    tensors: [{ name: "v", type: "F32", shape: [64], data: Buffer.alloc(256) }],
  });
  const store = await start();
  assert.deepEqual(
    store.list().map(({ name, kind }) => [name, kind]),
    [["adapter.gguf", "file"]],
  );
});

test("a node's own shard and other files are counted separately, and reported once they are hashed", async (t) => {
  const { models, folder, start, events } = await storeFixture(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, MODEL);
  await splitModel({ path, shards: 3, outDir: models });
  const own = join(models, "shard-1.gguf");
  const store = await start({ primary: [own] });
  const { primary, additional } = store.summary();
  assert.deepEqual([primary, additional], [1, 2]);
  assert.equal(named(store, "shard-1.gguf").primary, true);
  assert.equal(named(store, "layer.2 of Random weights").primary, true);
  assert.equal(named(store, "shard-0.gguf").primary, false);
  const told = events.filter(({ tag }) => tag === "TORRENT");
  const { root } = named(store, "shard-1.gguf").metadata;
  assert.ok(
    told.some(({ fields }) => fields.root === root && fields.primary === true),
  );
  const { message, fields } = told.at(-1)!;
  assert.equal(message, "seeding");
  assert.deepEqual(
    [fields.primary, fields.additional, fields.parts],
    [1, 2, 7],
  );
  store.setPrimary([join(models, "shard-0.gguf")]);
  assert.equal(named(store, "shard-1.gguf").primary, false);
});

test("pieces that do not exist are refused", async (t) => {
  const { models, start } = await storeFixture(t);
  await writeRandomModel(join(models, "model.gguf"), MODEL);
  const store = await start();
  const { root, sizeBytes } = named(store, "model.gguf").metadata;
  for (const index of [-1, 0.5, NaN, Math.ceil(sizeBytes / PIECE_BYTES)]) {
    await assert.rejects(store.readPiece(root, index), (error) =>
      isShoalError(error, "PIECE_MISSING"),
    );
  }
  await assert.rejects(store.readPiece("0".repeat(64), 0), (error) =>
    isShoalError(error, "CONTENT_UNKNOWN"),
  );
});

test("an unrecorded part, as after a kill at the end of its download, is shared as its manifest describes it", async (t) => {
  const { models, folder, start } = await storeFixture(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, MODEL);
  const outDir = join(folder, "split");
  const { manifest, id } = await splitModel({ path, shards: 2, outDir });
  await copyFile(join(outDir, "manifest.cbor"), join(models, "manifest.cbor"));
  const { tensors, sizeBytes } = partById(manifest, "layer.2");
  await using file = await open(path, "r");
  const bytes = Buffer.alloc(sizeBytes);
  let at = 0;
  for (const tensor of tensors) {
    await file.read(bytes, at, tensor.sizeBytes, tensor.offset);
    at += Math.ceil(tensor.sizeBytes / 32) * 32;
  }
  await writeFile(join(models, "layer.2"), bytes);
  // As long as a part, but not one.
  await writeFile(join(models, "other"), Buffer.alloc(sizeBytes));
  const store = await start();
  const root = rootOf(manifest, "layer.2");
  const content = store.get(root);
  assert.deepEqual(
    [content?.kind, content?.name, content?.manifest],
    ["part", "layer.2 of Random weights", id],
  );
  assert.ok(bytes.equals(await read(store, root)));
  // Only the manifest itself.
  assert.equal(store.list().length, 2);
});
