/** Files that another program holds for a moment are moved all the same, where that happens. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { moveFile, removeTree } from "./held-files.ts";

/** A system that refuses the first moves with these codes. */
function holding(platform: NodeJS.Platform, codes: readonly string[]) {
  const seen = { moves: 0, pausesMs: [] as number[] };
  const mover = {
    platform,
    move: (): Promise<void> => {
      const code = codes[seen.moves++];
      return code === undefined
        ? Promise.resolve()
        : Promise.reject(Object.assign(new Error(code), { code }));
    },
    pause: (ms: number): Promise<void> => {
      seen.pausesMs.push(ms);
      return Promise.resolve();
    },
  };
  return { seen, mover };
}

test("on Windows a held file is moved as soon as it is free", async () => {
  const { seen, mover } = holding("win32", ["EPERM", "EBUSY", "EACCES"]);
  await moveFile("a", "b", mover);
  assert.equal(seen.moves, 4);
  assert.deepEqual(seen.pausesMs, [10, 20, 40]);
});

test("one that stays held is given up after some seconds, with the system's error", async () => {
  const { seen, mover } = holding("win32", Array<string>(99).fill("EPERM"));
  await assert.rejects(moveFile("a", "b", mover), { code: "EPERM" });
  const waitedMs = seen.pausesMs.reduce((sum, ms) => sum + ms, 0);
  assert.ok(waitedMs > 2_000 && waitedMs < 5_000, `${waitedMs} ms`);
});

test("elsewhere, and for other errors, nothing is tried again", async () => {
  for (const [platform, code] of [
    ["linux", "EPERM"],
    ["darwin", "EACCES"],
    ["win32", "ENOENT"],
    ["win32", "ENOSPC"],
  ] as const) {
    const { seen, mover } = holding(platform, [code]);
    await assert.rejects(moveFile("a", "b", mover), { code });
    assert.equal(seen.moves, 1);
  }
});

test("files and whole folders are moved and removed", async (t) => {
  const folder = await temporaryFolder(t);
  const [old, made] = [join(folder, "old"), join(folder, "made")];
  await writeFile(old, "old");
  await writeFile(made, "new");
  await moveFile(made, old);
  assert.equal(await readFile(old, "utf8"), "new");
  await mkdir(join(folder, "deep/er"), { recursive: true });
  for (const name of ["deep", "old", "not there"])
    await removeTree(join(folder, name));
  assert.deepEqual(await readdir(folder), []);
});
