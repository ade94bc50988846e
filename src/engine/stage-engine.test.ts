/** The engine as a process: it loads with progress, refuses broken files, dies alone, and comes back. */
import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openModel } from "../gguf/index.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { Want } from "./channel.ts";
import { parseSampling } from "./sampling.ts";
import { StageEngine } from "./stage-engine.ts";

const OPTIONS = {
  contextLength: 256,
  sessions: 2,
  batchTokens: 32,
  threads: 1,
};
const TOKENS = Int32Array.of(1, 2, 3);

test("it loads with real progress, and reports its size after a dry run", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, {
    layers: 8,
    embeddingLength: 256,
    feedForward: 512,
  });
  const progress: number[] = [];
  await using engine = new StageEngine({
    path,
    ...OPTIONS,
    onProgress: (f) => progress.push(f),
  });
  const info = await engine.start();
  assert.deepEqual(
    [info.layers, info.isFirst, info.isLast, info.vocabSize],
    [8, true, true, 320],
  );
  assert.ok(info.rssBytes > 10_000_000 && info.dryRunMs > 0);
  assert.equal(progress.at(-1), 1);
  assert.ok(progress.length > 2);
  assert.deepEqual(
    progress,
    progress.toSorted((a, b) => a - b),
  );
});

test("weights that are not finite do not pass the dry run", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2, type: "F32" });
  const norm = (await openModel(path)).tensors.find(
    ({ name }) => name === "output_norm.weight",
  )!;
  await using file = await open(path, "r+");
  await file.write(
    new Uint8Array(norm.sizeBytes).fill(0xff),
    0,
    norm.sizeBytes,
    norm.offset,
  ); // NaNs
  await using engine = new StageEngine({ path, ...OPTIONS });
  await assert.rejects(engine.start(), { code: "ENGINE_LOAD_FAILED" });
});

test("a missing file is an error with its code", async (t) => {
  const path = join(await temporaryFolder(t), "none.gguf");
  await using engine = new StageEngine({ path, ...OPTIONS });
  await assert.rejects(engine.start(), { code: "FILE_NOT_FOUND" });
});

test("wrong requests are errors, and the engine continues", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2 });
  await using engine = new StageEngine({ path, ...OPTIONS });
  await engine.start();
  await engine.openSequence(0, parseSampling({ temperature: 0 }));
  await assert.rejects(engine.decode(0, 255, TOKENS, undefined, Want.Token), {
    code: "CONTEXT_EXCEEDED",
  });
  await assert.rejects(
    engine.decode(0, 0, new Int32Array(33), undefined, Want.Token),
    { code: "ENGINE_FAILED" },
  );
  await assert.rejects(engine.decode(1, 0, TOKENS, undefined, Want.Token), {
    code: "ENGINE_FAILED",
  });
  const { kind } = await engine.decode(0, 0, TOKENS, undefined, Want.Token);
  assert.equal(kind, "token");
  await assert.rejects(
    engine.decode(0, 5, TOKENS, undefined, Want.Token),
    { code: "ENGINE_FAILED" },
    "a gap in the positions",
  );
});

test("when killed, it fails the running request, reports it, and is loaded again", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2 });
  await using engine = new StageEngine({ path, ...OPTIONS });
  await engine.start();
  await engine.openSequence(0, parseSampling({ temperature: 0 }));
  const before = await engine.decode(0, 0, TOKENS, undefined, Want.Logits);
  const down = new Promise((resolve) => engine.onDown(resolve));
  const up = new Promise((resolve) => engine.onUp(resolve));
  const first = engine.pid!;
  process.kill(first, "SIGSTOP"); // so that the request has certainly started
  const hanging = engine.decode(0, 3, Int32Array.of(4), undefined, Want.Token);
  process.kill(first, "SIGKILL");
  await assert.rejects(hanging, { code: "ENGINE_DIED" });
  await down;
  assert.equal(engine.info, undefined);
  await assert.rejects(engine.decode(0, 0, TOKENS, undefined, Want.Token), {
    code: "ENGINE_DIED",
  });
  await up;
  assert.notEqual(engine.pid, first);
  await engine.openSequence(0, parseSampling({ temperature: 0 }));
  assert.deepEqual(
    await engine.decode(0, 0, TOKENS, undefined, Want.Logits),
    before,
  );
});

test("when stopped, it is silent until it goes on, or until another process replaces it", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2 });
  await using engine = new StageEngine({ path, ...OPTIONS });
  await engine.start();
  const told: string[] = [];
  const answers = Promise.withResolvers<void>();
  engine.onSilence((silent) => {
    told.push(silent ? "silent" : "answers");
    if (!silent) answers.resolve();
  });
  const first = engine.pid!;
  process.kill(first, "SIGSTOP");
  await assert.rejects(engine.openSequence(0, undefined), { code: "DEADLINE" });
  assert.ok(engine.silent);
  process.kill(first, "SIGCONT");
  await answers.promise;
  assert.ok(!engine.silent);

  process.kill(first, "SIGSTOP");
  await assert.rejects(engine.openSequence(0, undefined), { code: "DEADLINE" });
  const up = new Promise((resolve) => engine.onUp(resolve));
  process.kill(first, "SIGKILL");
  await up;
  assert.ok(!engine.silent);
  assert.notEqual(engine.pid, first);
  await engine.openSequence(0, undefined);
  assert.deepEqual(told, ["silent", "answers", "silent"]);
});

test("a signal that reaches the whole terminal or service does not end it: its parent does", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2 });
  await using engine = new StageEngine({ path, ...OPTIONS });
  await engine.start();
  await engine.openSequence(0, undefined);
  const before = await engine.decode(0, 0, TOKENS, undefined, Want.Logits);
  const first = engine.pid!;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.kill(first, signal);
    await engine.openSequence(0, undefined);
    assert.deepEqual(
      await engine.decode(0, 0, TOKENS, undefined, Want.Logits),
      before,
    );
  }
  assert.equal(engine.pid, first);
});
