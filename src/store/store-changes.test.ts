import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  appendFile,
  copyFile,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { writeRandomModel } from "../../test/support/models.ts";
import { openModel } from "../gguf/index.ts";
import { isShoalError, type ShoalEvent } from "../lib/index.ts";
import {
  MODEL,
  named,
  read,
  rootsOf,
  storeFixture,
  until,
} from "../../test/fakes/store-folders.ts";

test("the same bytes under two names are one content, and either file gives it", async (t) => {
  const { models, folder, start } = await storeFixture(t);
  const [a, b] = [join(models, "a.gguf"), join(models, "b.gguf")];
  await writeRandomModel(a, MODEL);
  const alone = await start({ stateDir: join(folder, "other-state") });
  const expected = rootsOf(alone);
  await alone.stop();
  await copyFile(a, b);
  const store = await start();
  assert.deepEqual(rootsOf(store), expected);
  assert.equal(store.summary().additional, 1);
  const { root } = named(store, "a.gguf").metadata;
  // Noticed by reading, not by looking at the folder.
  await rm(a);
  const bytes = await read(store, root);
  assert.ok(bytes.equals(await readFile(b)));
  await rm(b);
  await until(store, () => store.list().length === 0);
  await assert.rejects(store.readPiece(root, 0), (error) =>
    isShoalError(error, "CONTENT_UNKNOWN"),
  );
});

test("a second start hashes nothing, even with a damaged list of downloads", async (t) => {
  const { models, folder, start } = await storeFixture(t);
  await writeRandomModel(join(models, "model.gguf"), MODEL);
  const first = await start();
  const expected = rootsOf(first);
  assert.ok(first.hashedBytes > 20_000_000);
  await first.stop();
  await writeFile(join(folder, "state/downloads.json"), "{");
  const second = await start();
  assert.deepEqual(rootsOf(second), expected);
  assert.equal(second.hashedBytes, 0);
  await second.stop();
  // Without its cache it only takes longer.
  await writeFile(join(folder, "state/hashes"), "damaged");
  const third = await start();
  assert.deepEqual(rootsOf(third), expected);
  assert.equal(third.hashedBytes, first.hashedBytes);
});

const warningsOf = (events: readonly ShoalEvent[]): unknown[] =>
  events
    .filter(({ level }) => level === "warn")
    .map(({ fields }) => fields["path"]);

test("a removed file is reported without a warning, whether reading or a scan shows it", async (t) => {
  const { models, start, events } = await storeFixture(t);
  const [a, b] = [join(models, "a.gguf"), join(models, "b.gguf")];
  await writeRandomModel(a, MODEL);
  await copyFile(a, b);
  const store = await start({ debounceMs: 3_600_000 });
  const { root } = named(store, "a.gguf").metadata;
  await rm(a);
  await rm(b);
  await assert.rejects(store.readPiece(root, 0), (error) =>
    isShoalError(error, "CONTENT_CHANGED"),
  );
  const gone = events.filter(({ message }) =>
    message.startsWith("a file is gone"),
  );
  const paths = new Set(gone.map(({ fields }) => fields["path"]));
  assert.deepEqual(paths, new Set([a, b]));
  await store.rescan();
  assert.deepEqual(store.list(), []);
  assert.deepEqual(warningsOf(events), []);
});

test("a changed file is shared under its new id and not under its old one", async (t) => {
  const { models, start, events } = await storeFixture(t);
  const path = join(models, "model.gguf");
  await writeRandomModel(path, MODEL);
  // Only reading shows the change.
  const store = await start({ debounceMs: 3_600_000 });
  const { root } = named(store, "model.gguf").metadata;
  const layer = named(store, "layer.2 of Random weights").metadata.root;
  const { offset } = (await openModel(path)).tensors.find(
    ({ name }) => name === "blk.2.attn_q.weight",
  )!;
  const file = await open(path, "r+");
  await file.write(Buffer.from("change"), 0, 6, offset + 5);
  await file.close();
  await assert.rejects(store.readPiece(layer, 0), (error) =>
    isShoalError(error, "CONTENT_CHANGED"),
  );
  assert.ok(warningsOf(events).includes(path));
  assert.equal(store.get(layer), undefined);
  assert.equal(store.get(root), undefined);
  await store.rescan();
  assert.equal(store.get(root), undefined);
  const now = named(store, "model.gguf").metadata.root;
  assert.notEqual(now, root);
  assert.ok((await readFile(path)).equals(await read(store, now)));
  assert.notEqual(
    named(store, "layer.2 of Random weights").metadata.root,
    layer,
  );
});

test("files that come, go and are renamed are noticed while it runs", async (t) => {
  const { models, folder, start } = await storeFixture(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, MODEL);
  const store = await start();
  assert.deepEqual(store.list(), []);
  await mkdir(join(models, "later"));
  await copyFile(path, join(models, "later/came.gguf"));
  await until(store, () =>
    store.list().some(({ name }) => name === "came.gguf"),
  );
  const { root } = named(store, "came.gguf").metadata;
  await rename(join(models, "later/came.gguf"), join(models, "moved.gguf"));
  await until(store, () => store.get(root)?.name === "moved.gguf");
  await read(store, root);
  await rm(join(models, "moved.gguf"));
  await until(store, () => store.list().length === 0);
});

test("files that are not GGUF or still being written are ignored", async (t) => {
  const { models, folder, start } = await storeFixture(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, { layers: 1 });
  await writeFile(join(models, "readme.md"), "GGUF is a format");
  await writeFile(join(models, "fake.gguf"), "GGUG");
  await writeFile(join(models, "empty.gguf"), "");
  await writeFile(
    join(models, "cut.gguf"),
    (await readFile(path)).subarray(0, 9000),
  );
  await writeFile(join(models, "random.cbor"), randomBytes(100));
  for (const name of ["a.gguf.part", "a.gguf.tmp", ".a.gguf"])
    await copyFile(path, join(models, name));
  await symlink(join(models, "nowhere"), join(models, "broken.gguf"));
  const store = await start();
  assert.deepEqual(store.list(), []);
  // A link to one is as good as the file.
  await symlink(path, join(models, "link.gguf"));
  await until(store, () =>
    store.list().some(({ name }) => name === "link.gguf"),
  );
});

test("a file is hashed once it is at rest", async (t) => {
  const { models, folder, start } = await storeFixture(t);
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, { layers: 1 });
  const bytes = await readFile(path);
  const growing = join(models, "growing.gguf");
  await writeFile(growing, bytes);
  const store = await start({ settleMs: 400 });
  assert.deepEqual(store.list(), []);
  // Longer than the settling time, but never as long without a change.
  for (let i = 0; i < 8; i++) {
    await appendFile(growing, Buffer.alloc(32));
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(store.list(), []);
  }
  await until(store, () =>
    store.list().some(({ name }) => name === "growing.gguf"),
  );
  const { metadata } = named(store, "growing.gguf");
  assert.equal(metadata.sizeBytes, bytes.length + 8 * 32);
  assert.equal(store.hashedBytes < 3 * metadata.sizeBytes, true);
});
