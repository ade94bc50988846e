/** Memory of keys and values: given back after the load and after a session, page by page, without a changed bit. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { writeTinyModel } from "../../test/support/certificate/tiny-model.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { readShard } from "../model/index.ts";
import { KvPages } from "./kv-pages.ts";
import type { Pages } from "./native-pages.ts";
import { loadNative } from "./native.ts";
import type { NativeTensors, Pointer, TensorMemory } from "./native-types.ts";
import { Stage } from "./stage.ts";

const TENSOR = 1n as Pointer;

/** A system that only notes what it gets. */
function notes(succeeds = true): { pages: Pages; given: [number, number][] } {
  const given: [number, number][] = [];
  const giveBack = (address: number, sizeBytes: number): boolean => {
    given.push([address, sizeBytes]);
    return succeeds;
  };
  return { pages: { pageBytes: 4096, giveBack }, given };
}

function tensors(memory: Partial<TensorMemory> | undefined): NativeTensors {
  const cache: TensorMemory = {
    name: "cache_k_l0",
    address: 4096 + 64,
    sizeBytes: 3 * 10_000,
    shape: [50, 100, 3, 1],
    ...memory,
  };
  return {
    ...loadNative(),
    memoryOf: () => (memory === undefined ? undefined : cache),
  };
}

test("only pages that lie wholly in a session's slice are given back", () => {
  const { pages, given } = notes();
  const kv = new KvPages(3, pages);
  assert.ok(!kv.returnsPages, "nothing is known yet");
  kv.notice(tensors({}), TENSOR, "cache_k_l0 (view)");
  kv.notice(tensors({}), TENSOR, "cache_k_l0 (reshaped)");
  kv.notice(tensors({ address: 90_000 }), TENSOR, "Qcur-0");
  assert.ok(kv.returnsPages);
  // The slice is 14,160 to 24,160.
  kv.release(1);
  assert.deepEqual(given, [[16_384, 4096]]);
  given.length = 0;
  // 4,160 to 34,160.
  kv.releaseAll();
  assert.deepEqual(given, [[8192, 24_576]]);
});

test("what cannot be given back is said", () => {
  const cases: [string, KvPages][] = [
    ["another system", new KvPages(3, undefined)],
    ["a device's memory", new KvPages(3, notes().pages)],
    ["one slice for all", new KvPages(3, notes().pages)],
    ["refused by the system", new KvPages(3, notes(false).pages)],
  ];
  const memories = [{}, undefined, { shape: [50, 300, 1, 1] }, {}];
  for (const [i, [what, kv]] of cases.entries()) {
    kv.notice(tensors(memories[i]), TENSOR, "cache_v_l0 (view)");
    kv.release(0);
    kv.releaseAll();
    assert.ok(!kv.returnsPages, what);
  }
});

/** Private memory in use, MiB. */
function anonymousMiB(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

const PROMPT = 2000;
const CHUNK = 250;

function tokenAt(seed: number, position: number): number {
  return (position * 7919 + seed * 31) % 320;
}

/** A long prompt's and two further tokens' logits. */
function logitsOf(stage: Stage, sequence: number, seed = 0): Float32Array[] {
  const out: Float32Array[] = [];
  for (let at = 0; at < PROMPT + 2;) {
    const count = at < PROMPT ? CHUNK : 1;
    const tokens = Int32Array.from({ length: count }, (_, i) =>
      tokenAt(seed, at + i),
    );
    stage.decode(sequence, at, tokens, undefined);
    at += count;
    out.push(stage.logits());
  }
  return out;
}

test(
  "memory is taken as it is used, and given back, and no bit changes",
  { skip: process.platform !== "linux" && "Linux only" },
  async (t) => {
    const path = join(await temporaryFolder(t), "model.gguf");
    const shape = { embeddingLength: 256, heads: 4, kvHeads: 4, layers: 8 };
    await writeRandomModel(path, { ...shape, type: "Q8_0", feedForward: 256 });
    const shard = await readShard(path);
    const options = {
      contextLength: 2048,
      sessions: 3,
      batchTokens: 256,
      threads: 1,
    };
    /** 8 layers × 2 × 2,048 cells × 256 × 2 bytes. */
    const sessionMiB = 16;
    using kept = new Stage(shard, options);
    const expected = logitsOf(kept, 1);

    const before = anonymousMiB();
    using stage = new Stage(shard, options);
    assert.ok(anonymousMiB() - before > 2.5 * sessionMiB, "all is written to");
    stage.dryRun();
    assert.ok(stage.returnsPages);
    const loaded = anonymousMiB();
    assert.ok(loaded - before < 0.5 * sessionMiB, `after load: ${loaded}`);

    assert.deepEqual(logitsOf(stage, 1), expected);
    const used = anonymousMiB();
    assert.ok(used - loaded > 0.8 * sessionMiB, `one session: ${used}`);
    assert.ok(used - loaded < 1.6 * sessionMiB, `one session: ${used}`);
    const second = logitsOf(stage, 0, 5);
    stage.releasePages(1);
    const freed = anonymousMiB();
    assert.ok(freed - loaded < 1.6 * sessionMiB, `the other's stays: ${freed}`);

    // The other one goes on, and the freed one is used again.
    const next = Int32Array.of(7);
    stage.decode(0, PROMPT + 2, next, undefined);
    const continued = stage.logits();
    assert.deepEqual(logitsOf(stage, 1), expected);
    stage.releasePages(0);
    stage.releasePages(1);
    const end = anonymousMiB();
    assert.ok(end - loaded < 0.5 * sessionMiB, `at the end: ${end}`);
    assert.deepEqual(logitsOf(kept, 0, 5), second);
    kept.decode(0, PROMPT + 2, next, undefined);
    assert.deepEqual(kept.logits(), continued);
  },
);

/** Two caches with a window, keys alone, states besides, states alone. */
for (const [architecture, returns] of [
  ["gemma3", true],
  ["gpt-oss", true],
  ["deepseek4", true],
  ["jamba", true],
  ["mamba2", false],
] as const)
  test(`${architecture}: a sequence whose pages were given back starts like a new one`, async (t) => {
    const path = join(await temporaryFolder(t), "model.gguf");
    await writeTinyModel(path, architecture);
    const options = {
      contextLength: 1024,
      sessions: 3,
      batchTokens: 64,
      threads: 1,
    };
    using stage = new Stage(await readShard(path), options);
    const run = (sequence: number): Float32Array[] =>
      [40, 30, 1, 1].map((count, i, counts) => {
        const at = counts.slice(0, i).reduce((sum, n) => sum + n, 0);
        const tokens = Int32Array.from({ length: count }, (_, k) =>
          tokenAt(sequence === 2 ? 9 : 0, at + k),
        ).map((token) => token % stage.vocabSize);
        stage.decode(sequence, at, tokens, undefined);
        return stage.logits();
      });
    const expected = run(1);
    stage.freeSequence(1);
    stage.dryRun();
    assert.equal(stage.returnsPages, returns && process.platform === "linux");
    run(2);
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(run(1), expected);
      stage.releasePages(1);
    }
  });
