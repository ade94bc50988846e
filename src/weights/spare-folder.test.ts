import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { PATIENCE_MS, Watched } from "../../test/support/network.ts";
import { keepToOffer, SpareFolder } from "./spare-folder.ts";

test("everything in the folder counts as used", async (t) => {
  const spare = new SpareFolder(await temporaryFolder(t), 1000);
  assert.equal(await spare.freeBytes(), 1000);
  await mkdir(join(spare.directory, "m"));
  await writeFile(spare.pathOf("m", "layer.0"), Buffer.alloc(300));
  await writeFile(`${spare.pathOf("m", "layer.1")}.part`, Buffer.alloc(100));
  await writeFile(`${spare.pathOf("m", "layer.1")}.part.state`, "12345");
  assert.equal(await spare.freeBytes(), 595);
  // Offered again with a lower limit.
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

test("two downloads that fit only alone do not both get room", async (t) => {
  const spare = new SpareFolder(await temporaryFolder(t), 1000);
  const [first, second] = await Promise.all([
    spare.reserve("m", "layer.0", 600),
    spare.reserve("m", "layer.1", 600),
  ]);
  assert.ok(first !== undefined);
  assert.equal(second, undefined);
  // Its use of disk is part of the reservation.
  await writeFile(spare.pathOf("m", "layer.0"), Buffer.alloc(550));
  assert.equal(await spare.freeBytes(), 400);
  first();
  assert.equal(await spare.freeBytes(), 450);
});

test("a part is deleted with the rest of its download, a model with all its parts", async (t) => {
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

test("names that are not part names are not used as paths", () => {
  for (const name of ["../a", "a/b", "", ".a", "a.part", "a.part.state"])
    assert.equal(SpareFolder.isSafe(name), false, name);
  for (const name of ["layer.12", "embedding", "output", "metadata"])
    assert.equal(SpareFolder.isSafe(name), true, name);
});

test("the excess is deleted: unfinished parts, then the largest", async (t) => {
  const folder = await temporaryFolder(t);
  const files = { a: 100, b: 300, c: 200 };
  await mkdir(join(folder, "m"));
  for (const [name, bytes] of Object.entries(files))
    await writeFile(join(folder, "m", name), Buffer.alloc(bytes));
  for (const end of ["part", "part.state", "part.state.0a1b.tmp"])
    await writeFile(join(folder, "m", `d.${end}`), Buffer.alloc(10));
  const left = async (): Promise<string[]> =>
    (await readdir(join(folder, "m")).catch((): string[] => [])).toSorted();

  assert.equal(await new SpareFolder(folder, 630).shrink(), 0);
  assert.equal(await new SpareFolder(folder, 629).shrink(), 30);
  assert.deepEqual(await left(), ["a", "b", "c"]);
  assert.equal(await new SpareFolder(folder, 350).shrink(), 300);
  assert.deepEqual(await left(), ["a", "c"]);
  // A running download is not deleted.
  const spare = new SpareFolder(folder, 450);
  assert.ok(await spare.reserve("m", "e", 100));
  await writeFile(join(folder, "m", "e.part"), Buffer.alloc(100));
  await writeFile(join(folder, "m", "f"), Buffer.alloc(100));
  assert.equal(await spare.shrink(), 200);
  assert.deepEqual(await left(), ["a", "e.part", "f"]);
});

test("without an offer everything is deleted at once; with a lower limit there is time to choose", async (t) => {
  const folder = await temporaryFolder(t);
  const put = async (): Promise<void> => {
    await mkdir(join(folder, "m"), { recursive: true });
    await writeFile(join(folder, "m", "a"), Buffer.alloc(100));
  };
  await put();
  const nothing = new Watched();
  keepToOffer(new SpareFolder(folder, 0), nothing, PATIENCE_MS * 2);
  await nothing.when(
    ({ message }) =>
      message === "freed 100 B of spare disk; the limit is now 0 B",
    "all to be freed",
  );
  assert.deepEqual(await readdir(folder), []);

  await put();
  const less = new Watched();
  keepToOffer(new SpareFolder(folder, 50), less, 200);
  assert.deepEqual(await readdir(join(folder, "m")), ["a"]);
  await less.when(
    ({ message }) => message.startsWith("freed 100 B"),
    "the rest to be freed",
  );

  await put();
  const enough = new Watched();
  const end = keepToOffer(new SpareFolder(folder, 50), enough, 50);
  end();
  const after = Promise.withResolvers<void>();
  setTimeout(after.resolve, 150);
  await after.promise;
  assert.deepEqual(await readdir(join(folder, "m")), ["a"]);
  assert.deepEqual(enough.seen, []);
});
