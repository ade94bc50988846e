/**
 * A model's stages one after the other, in this process: each decodes what the one before gave.
 *
 *     const chain = await StageChain.load(t, "model.gguf", [1, 1], { kv: "bf16", sessions: 4 });
 *     chain.decode(0, 0, prompt);
 *     chain.logits();
 */
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { KvType } from "../../src/engine/kv.ts";
import { loadNative } from "../../src/engine/native.ts";
import { type SharedRow, Stage } from "../../src/engine/stage.ts";
import { readShard, splitModel } from "../../src/model/index.ts";
import { temporaryFolder } from "./folder.ts";

export interface ChainOptions {
  contextLength: number;
  batchTokens: number;
  kv: KvType;
  sessions?: number;
}

export class StageChain {
  readonly #stages: readonly Stage[];

  private constructor(stages: readonly Stage[]) {
    this.#stages = stages;
  }

  /** `threads`: of each stage, so of how many. Freed when the test ends. */
  static async load(
    t: TestContext,
    path: string,
    threads: readonly number[],
    { sessions = 1, ...options }: ChainOptions,
  ): Promise<StageChain> {
    const outDir = join(await temporaryFolder(t), "shards");
    const { shards } = await splitModel({
      path,
      shards: threads.length,
      outDir,
    });
    const stages: Stage[] = [];
    for (const [i, shard] of shards.entries()) {
      const stage = new Stage(await readShard(shard.path), {
        ...options,
        sessions,
        threads: threads[i]!,
      });
      t.after(() => stage[Symbol.dispose]());
      stages.push(stage);
    }
    return new StageChain(stages);
  }

  get #last(): Stage {
    return this.#stages.at(-1)!;
  }

  decode(sequence: number, position: number, tokens: Int32Array): void {
    let activations: Float32Array | undefined;
    for (const stage of this.#stages)
      activations = stage.decode(sequence, position, tokens, activations);
  }

  /** The same with a prompt's last chunk; its embedding. */
  embed(sequence: number, position: number, tokens: Int32Array): Float32Array {
    let activations: Float32Array | undefined;
    for (const stage of this.#stages)
      activations = stage.decode(sequence, position, tokens, activations, true);
    return this.#last.embedding;
  }

  /** One token each of several sessions in one decode. */
  decodeShared(rows: readonly SharedRow[]): void {
    for (const stage of this.#stages) {
      const out = stage.decodeShared(rows);
      const width = stage.activationLength;
      rows = rows.map((row, i) => ({
        ...row,
        activations: out?.subarray(i * width, (i + 1) * width),
      }));
    }
  }

  /** After the last decode: of its last row, or of a row of a shared one. */
  logits(index = -1): Float32Array {
    return this.#last.logits(index);
  }

  /** Drops a session's keys and values from `position` on. */
  keep(sequence: number, position: number): void {
    const native = loadNative();
    for (const { context } of this.#stages)
      native.removeSequence(context, sequence, position, -1);
  }
}
