import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { projectorsBeside, servedAsText } from "./projectors.ts";

test("the projectors beside a model are named; nothing else in its folder is one", async (t) => {
  const folder = await temporaryFolder(t);
  const model = join(folder, "model.gguf");
  for (const name of ["model.gguf", "mmproj.txt", "notes.gguf"])
    await writeFile(join(folder, name), "");
  assert.deepEqual(await projectorsBeside(model), []);
  for (const name of ["model-mmproj-BF16.gguf", "MMPROJ-F16.GGUF"])
    await writeFile(join(folder, name), "");
  const found = await projectorsBeside(model);
  assert.deepEqual(found, ["MMPROJ-F16.GGUF", "model-mmproj-BF16.gguf"]);
  assert.equal(
    servedAsText(found),
    "served as text: MMPROJ-F16.GGUF, model-mmproj-BF16.gguf beside it, for images or sound, are left out",
  );
  assert.deepEqual(await projectorsBeside(join(folder, "none/x.gguf")), []);
});
