/** What a session leaves behind: a sequence that is used again, or beside another one, gives the bits that it gives alone, in each memory that llama.cpp has. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { writeTinyModel } from "../../test/support/certificate/tiny-model.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { openModel } from "../gguf/index.ts";
import {
  assembleShard,
  buildManifest,
  planLayers,
  readShard,
} from "../model/index.ts";
import { Stage } from "./stage.ts";

/** Recurrent, hybrid, with a short convolution, sliding, with an index, compressed. */
const ARCHITECTURES = [
  "mamba2",
  "jamba",
  "falcon-h1",
  "qwen3next",
  "kimi-linear",
  "lfm2",
  "gemma2",
  "glm-dsa",
  "minimax-m3",
  "deepseek4",
];
const OPTIONS = {
  contextLength: 64,
  sessions: 3,
  batchTokens: 32,
  threads: 1,
} as const;
/** Tokens of each decode: a prompt in two chunks, then single tokens. */
const STEPS = [20, 17, 1, 1];

/** One sequence in stages that follow each other. */
class Session {
  #stages: readonly Stage[];
  #vocabSize: number;
  #sequence: number;
  #seed: number;
  #position = 0;

  constructor(
    stages: readonly Stage[],
    vocabSize: number,
    sequence: number,
    seed: number,
  ) {
    this.#stages = stages;
    this.#vocabSize = vocabSize;
    this.#sequence = sequence;
    this.#seed = seed;
  }

  /** The logits after `count` more tokens. */
  step(count: number): Float32Array {
    const tokens = Int32Array.from(
      { length: count },
      (_, i) => ((this.#position + i) * 7919 + this.#seed) % this.#vocabSize,
    );
    let activations: Float32Array | undefined;
    for (const stage of this.#stages) {
      activations = stage
        .decode(this.#sequence, this.#position, tokens, activations)
        ?.slice();
    }
    this.#position += count;
    return this.#stages.at(-1)!.logits();
  }

  free(): void {
    for (const stage of this.#stages) stage.freeSequence(this.#sequence);
  }
}

for (const architecture of ARCHITECTURES) {
  test(`${architecture}: a sequence is the same when used again, and beside others`, async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, "model.gguf");
    await writeTinyModel(path, architecture);
    const source = await openModel(path);
    const manifest = await buildManifest(source);
    using stack = new DisposableStack();
    const stages: Stage[] = [];
    for (const range of planLayers(manifest, 2)) {
      const shard = join(folder, `${range.layerStart}.gguf`);
      await assembleShard({ source, manifest, range, path: shard });
      stages.push(stack.use(new Stage(await readShard(shard), OPTIONS)));
      stages.at(-1)!.dryRun();
    }
    const session = (sequence: number, seed: number): Session =>
      new Session(stages, manifest.vocabSize, sequence, seed);

    const first = session(0, 11);
    const alone = STEPS.map((count) => first.step(count));
    assert.ok(alone.every((row) => row.every(Number.isFinite)));
    assert.notDeepEqual(alone[0], alone[1]);
    first.free();

    const other = session(0, 5);
    const others = STEPS.map((count) => other.step(count));
    assert.notDeepEqual(others, alone);
    other.free();
    const again = session(0, 11);
    assert.deepEqual(
      STEPS.map((count) => again.step(count)),
      alone,
      "used again",
    );

    // Another one runs between its steps, and one ends and makes room meanwhile.
    const beside = session(2, 11);
    const between = session(1, 5);
    const mixed = STEPS.map((count, i) => {
      between.step(STEPS[i] ?? 1);
      if (i === 1) again.free();
      return beside.step(count);
    });
    assert.deepEqual(mixed, alone, "beside others");
  });
}
