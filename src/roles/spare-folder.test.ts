import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { SpareFolder } from "./spare-folder.ts";

test("what lies there is used, whatever put it there", async (t) => {
  const spare = new SpareFolder(await temporaryFolder(t), 1000);
  assert.equal(await spare.freeBytes(), 1000);
  await mkdir(join(spare.directory, "m"));
  await writeFile(spare.pathOf("m", "layer.0"), Buffer.alloc(300));
  await writeFile(`${spare.pathOf("m", "layer.1")}.part`, Buffer.alloc(100));
  await writeFile(`${spare.pathOf("m", "layer.1")}.part.state`, "12345");
  assert.equal(await spare.freeBytes(), 595);
  // Offered again, less than before.
  assert.equal(await new SpareFolder(spare.directory, 100).freeBytes(), -305);
  const parts = await spare.parts("m");
  assert.deepEqual(
    Object.fromEntries(parts),
    Object.fromEntries([
      ["layer.0", { isWhole: true }],
      ["layer.1", { isWhole: false }],
    ]),
  );
});

test("two downloads that fit each alone do not both get room", async (t) => {
  const spare = new SpareFolder(await temporaryFolder(t), 1000);
  const [first, second] = await Promise.all([
    spare.reserve("m", "layer.0", 600),
    spare.reserve("m", "layer.1", 600),
  ]);
  assert.ok(first !== undefined);
  assert.equal(second, undefined);
  // What it takes on disk is in what was reserved.
  await writeFile(spare.pathOf("m", "layer.0"), Buffer.alloc(550));
  assert.equal(await spare.freeBytes(), 400);
  first();
  assert.equal(await spare.freeBytes(), 450);
});

test("a part goes with what is left of its download, a model with all its parts", async (t) => {
  const spare = new SpareFolder(await temporaryFolder(t), 1000);
  for (const model of ["old", "new"]) {
    await mkdir(join(spare.directory, model));
    for (const name of ["a", "b", "b.part", "b.part.state"])
      await writeFile(spare.pathOf(model, name), "0123456789");
  }
  await spare.remove("new", "b");
  assert.equal(await spare.freeBytes(), 950);
  assert.deepEqual(await spare.removeOthers(new Set(["new"])), ["old"]);
  assert.equal(await spare.freeBytes(), 990);
});

test("names that are no names of parts are not used as paths", () => {
  for (const name of ["../a", "a/b", "", ".a", "a.part", "a.part.state"])
    assert.equal(SpareFolder.isSafe(name), false, name);
  for (const name of ["layer.12", "embedding", "output", "metadata"])
    assert.equal(SpareFolder.isSafe(name), true, name);
});
