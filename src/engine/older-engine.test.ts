/** A machine with an older llama.cpp refuses the architectures whose shards it would compute otherwise, and serves the others. */
import assert from "node:assert/strict";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { writeTinyModel } from "../../test/support/certificate/tiny-model.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { findLibraries } from "./libraries.ts";
import { StageEngine } from "./stage-engine.ts";

/** The engines that start from here on have this machine's libraries under names that tell v0.4.0. */
async function renamedEngine(t: TestContext): Promise<void> {
  const { directory, version } = findLibraries();
  const name = directory.split("/").at(-1) ?? "";
  const engines = await temporaryFolder(t);
  const bins = join(engines, name, "bins", name);
  await mkdir(bins, { recursive: true });
  for (const file of await readdir(directory))
    await symlink(
      join(directory, file),
      join(bins, file.replace(`.v${version}.`, ".v0.4.0.")),
    );
  const { SHOAL_ENGINES: before } = process.env;
  process.env.SHOAL_ENGINES = engines;
  t.after(() => {
    if (before === undefined) delete process.env.SHOAL_ENGINES;
    else process.env.SHOAL_ENGINES = before;
  });
}

test("gemma2 is refused with both versions, llama is loaded", async (t) => {
  const folder = await temporaryFolder(t);
  const pathOf = (architecture: string): string =>
    join(folder, `${architecture}.gguf`);
  for (const architecture of ["gemma2", "llama"])
    await writeTinyModel(pathOf(architecture), architecture);
  await renamedEngine(t);
  const load = async (architecture: string): Promise<unknown> => {
    await using engine = new StageEngine({
      path: pathOf(architecture),
      contextLength: 64,
      sessions: 1,
      batchTokens: 32,
      threads: 1,
    });
    return await engine.start();
  };
  await load("llama");
  await assert.rejects(load("gemma2"), {
    code: "MODEL_ARCHITECTURE",
    message:
      "architecture 'gemma2' needs llama.cpp v0.5.0; this machine's is v0.4.0 (docs/PLATFORMS.md)",
  });
});
