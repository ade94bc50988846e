/** The engine as a process: it loads with progress, refuses broken files, dies alone, and comes back. */
import assert from "node:assert/strict";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openModel } from "../gguf/index.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { Events, type ShoalError } from "../lib/index.ts";
import { type EngineEvent, Want } from "./channel.ts";
import { EngineHost } from "./engine-host.ts";
import { parseSampling } from "./sampling.ts";
import { StageEngine } from "./stage-engine.ts";

const OPTIONS = {
  contextLength: 256,
  sessions: 2,
  batchTokens: 32,
  threads: 1,
};
const TOKENS = Int32Array.of(1, 2, 3);

const HASTY = { restarts: { initialMs: 10 } };

const KEY = Buffer.alloc(32).toString("base64");
const SALT = Buffer.alloc(4).toString("base64");
const CONNECTION = {
  link: 1,
  connection: Buffer.alloc(16).toString("base64"),
  keys: { sendKey: KEY, sendSalt: SALT, receiveKey: KEY, receiveSalt: SALT },
  host: "127.0.0.1",
  port: 0,
};

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

test(
  "when stopped, it is found in seconds and replaced",
  { skip: process.platform !== "linux" && "only Linux tells" },
  async (t) => {
    const path = join(await temporaryFolder(t), "model.gguf");
    await writeRandomModel(path, { layers: 2 });
    await using engine = new StageEngine({ path, ...OPTIONS });
    await engine.start();
    const first = engine.pid!;
    const down = new Promise((resolve) => engine.onDown(resolve));
    const up = new Promise((resolve) => engine.onUp(resolve));
    const startedMs = performance.now();
    process.kill(first, "SIGSTOP");
    // One that waits is told why; without it would be found all the same.
    await assert.rejects(engine.openSequence(0, undefined), {
      code: "ENGINE_HUNG",
    });
    const foundMs = Math.round(performance.now() - startedMs);
    t.diagnostic(`found after ${foundMs} ms`);
    await down;
    assert.equal(engine.info, undefined);
    await up;
    assert.notEqual(engine.pid, first);
    await engine.openSequence(0, undefined);
    const again = new Promise((resolve) => engine.onUp(resolve));
    process.kill(engine.pid!, "SIGSTOP"); // nobody asks it anything
    await again;
  },
);

test("where the system does not tell, a stopped engine is silent until it goes on, or until another process replaces it", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2 });
  const host = new EngineHost({ vitals: () => undefined });
  await using engine = new StageEngine({ path, host, ...OPTIONS });
  await engine.start();
  const told: string[] = [];
  const answers = Promise.withResolvers<void>();
  engine.onSilence((silent) => {
    told.push(silent ? "silent" : "answers");
    if (!silent) answers.resolve();
  });
  const first = engine.pid!;
  process.kill(first, "SIGSTOP");
  await Promise.all([
    assert.rejects(engine.openSequence(0, undefined), { code: "DEADLINE" }),
    // A neighbour that wants to connect does not end it either.
    assert.rejects(engine.expectConnection(CONNECTION), { code: "DEADLINE" }),
  ]);
  assert.ok(engine.silent);
  process.kill(first, "SIGCONT");
  await answers.promise;
  assert.ok(!engine.silent);
  assert.equal(engine.pid, first);

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

test("when it cannot be loaded again at first, it is heard as before once it is", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2 });
  const events = new Events();
  await using engine = new StageEngine({ path, events, ...OPTIONS });
  await engine.start();
  const failed = new Promise((resolve) =>
    events.subscribe(({ fields }) => {
      if (fields["code"] === "FILE_NOT_FOUND") resolve(fields);
    }),
  );
  const up = new Promise((resolve) => engine.onUp(resolve));
  await rename(path, `${path}.away`);
  process.kill(engine.pid!, "SIGKILL");
  await failed;
  await rename(`${path}.away`, path);
  await up;
  const told = new Promise<EngineEvent>((resolve) =>
    engine.listen({ onFrame: () => {}, onEvent: resolve }),
  );
  // Nobody listens there.
  await engine.dialConnection({ ...CONNECTION, port: 1, timeoutMs: 1_000 });
  assert.equal((await told).type, "link");
});

test("when it cannot be loaded any more, it is tried again and then given up", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2 });
  await using engine = new StageEngine({ path, ...HASTY, ...OPTIONS });
  await engine.start();
  const givenUp = new Promise<ShoalError>((resolve) =>
    engine.onGivenUp(resolve),
  );
  await rm(path);
  process.kill(engine.pid!, "SIGKILL");
  const { code, message, details } = await givenUp;
  assert.equal(code, "ENGINE_GIVEN_UP");
  assert.match(message, /^the engine failed 8 times in a row: .*model\.gguf/);
  assert.equal(details.engine, "FILE_NOT_FOUND");
  await assert.rejects(engine.openSequence(0, undefined), {
    code: "ENGINE_DIED",
  });
});

test("a shard whose load ends the process is given up; the one beside it serves on", async (t) => {
  const folder = await temporaryFolder(t);
  const [path, other] = [
    join(folder, "model.gguf"),
    join(folder, "other.gguf"),
  ];
  await writeRandomModel(path, { layers: 2 });
  await writeRandomModel(other, { layers: 2, seed: 2 });
  const host = new EngineHost();
  await using first = new StageEngine({ path, host, ...OPTIONS });
  await first.start();
  const before = await firstLogits(first);
  let dies = false;
  await using second = new StageEngine({
    path: other,
    host,
    ...HASTY,
    ...OPTIONS,
    // At each load of it, as where the system ends it for want of memory.
    onProgress: () => {
      if (dies) process.kill(second.pid!, "SIGKILL");
    },
  });
  await second.start();
  dies = true;
  let downs = 0;
  first.onDown(() => downs++);
  const givenUp = new Promise<ShoalError>((resolve) =>
    second.onGivenUp(resolve),
  );
  process.kill(first.pid!, "SIGKILL");
  assert.match((await givenUp).message, /failed 8 times in a row/);
  assert.ok(downs > 1, `${downs} times down with it`);
  if (first.info === undefined)
    await new Promise((resolve) => first.onUp(resolve));
  assert.deepEqual(await firstLogits(first), before);
});

async function firstLogits(engine: StageEngine): Promise<unknown> {
  await engine.openSequence(0, parseSampling({ temperature: 0 }));
  return await engine.decode(0, 0, TOKENS, undefined, Want.Logits);
}

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
