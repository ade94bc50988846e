/** A machine with an older llama.cpp refuses the architectures whose shards it would compute otherwise, and serves the others. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { writeTinyModel } from "../../test/support/certificate/tiny-model.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { renamedEngine } from "../../test/support/older-engine.ts";
import { StageEngine } from "./stage-engine.ts";

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
