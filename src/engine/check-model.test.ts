/** What llama.cpp refuses is told with its own reason, whoever loads it and before anybody fetches it. */
import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { DAMAGES, writeDamagedModel } from "../../test/support/damaged.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import {
  type RandomArchitecture,
  writeRandomModel,
} from "../../test/support/models.ts";
import { DEMO_MODEL } from "../../test/support/swarm.ts";
import { isShoalError } from "../lib/index.ts";
import { inspectFile } from "../model/index.ts";
import { checkModel, inspectModelFile } from "./check-model.ts";
import { nativeReason } from "./native-log.ts";
import { StageEngine } from "./stage-engine.ts";
import { Tokenizer } from "./tokenizer.ts";

for (const [what, damage] of Object.entries(DAMAGES)) {
  test(`${what}: the check and the load of a stage tell "${damage.reason}"`, async (t) => {
    const path = await writeDamagedModel(await temporaryFolder(t), damage);
    assert.equal((await inspectFile(path)).kind, "model"); // nothing is wrong with it for our own reader
    const tells = (error: unknown): boolean => {
      assert.ok(isShoalError(error, "ENGINE_LOAD_FAILED", "ENGINE_DIED"));
      assert.ok(error.message.endsWith(damage.reason), error.message);
      assert.doesNotMatch(error.message, /\n|\/home\/runner/);
      return true;
    };
    await assert.rejects(checkModel(path), (error) => {
      assert.ok(isShoalError(error, "ENGINE_LOAD_FAILED"));
      return tells(error);
    });
    const engine = new StageEngine({ path, contextLength: 64, threads: 1 });
    await assert.rejects(engine.start(), tells);
    const info = await inspectModelFile(path);
    assert.ok(info.kind === "gguf" && info.reason.endsWith(damage.reason));
  });
}

test("a tokenizer that llama.cpp refuses is told with the same reason", async (t) => {
  const damage = DAMAGES["an unknown tokenizer"];
  const path = await writeDamagedModel(await temporaryFolder(t), damage);
  await assert.rejects(Tokenizer.load(path), {
    code: "ENGINE_LOAD_FAILED",
    message: `llama.cpp refused ${path}: error loading model vocabulary: ${damage.reason}`,
  });
});

const GOOD: RandomArchitecture[] = [
  "llama",
  "llama-moe",
  "qwen2",
  "qwen3",
  "qwen3moe",
  "phi3",
];
for (const architecture of GOOD) {
  test(`${architecture}: what llama.cpp loads passes the check`, async (t) => {
    const path = join(await temporaryFolder(t), "model.gguf");
    await writeRandomModel(path, { architecture, layers: 2 });
    assert.equal(await checkModel(path), true);
  });
}

test("the demo model passes, under any name", async (t) => {
  const path = join(await temporaryFolder(t), "a name with spaces.gguf");
  await copyFile(DEMO_MODEL, path);
  assert.equal((await inspectModelFile(path)).kind, "model");
});

test("the reason is one line, whatever is around it", () => {
  const abort =
    "/home/runner/work/llama.cpp/src/llama-vocab.cpp:2539: GGML_ASSERT(a == b) failed";
  for (const [lines, reason] of [
    [[], undefined],
    [["only this"], "only this"],
    [
      [
        "warn\n",
        "llama_model_load: error loading model: why\n",
        "failed to load model\n",
      ],
      "why",
    ],
    [
      ["before", abort, "./libggml-base.so(+0x159f8)[0x7f]", "ggml_abort+0x12"],
      "llama-vocab.cpp:2539: GGML_ASSERT(a == b) failed",
    ],
    [["x".repeat(5_000)], "x".repeat(300)],
  ] as const)
    assert.equal(nativeReason(lines), reason);
});
