/** The proof that shards compute what the whole file computes: real engines, real processes, logits compared bit for bit. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ShoalError, removeTree } from "../lib/index.ts";
import { readShard, splitModel } from "../model/index.ts";
import { Want } from "./channel.ts";
import { StageEngine } from "./stage-engine.ts";
import type { StageEngineOptions } from "./stage-options.ts";

export interface VerifyOptions {
  path: string;
  shards: number;
  threads: number;
  /** What computes, as StageEngine takes it. */
  on?: Pick<StageEngineOptions, "backend" | "device" | "gpuLayers">;
  signal: AbortSignal;
}

export interface VerifyResult {
  prefillTokens: number;
  decodeTokens: number;
  /** Largest absolute difference between two logits; 0 means bit-identical. */
  prefillDifference: number;
  decodeDifference: number;
}

/** Two chunks, so that a stage also starts in the middle of a sequence; then single tokens. */
const CHUNK = 24;
const CHUNKS = 2;
const DECODES = 8;

export async function verifyShards({
  path,
  shards,
  threads,
  on,
  signal,
}: VerifyOptions): Promise<VerifyResult> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "shoal-verify-"));
  stack.defer(() => removeTree(directory));
  const split = await splitModel({ path, shards, outDir: directory, signal });
  const open = async (file: string): Promise<StageEngine> => {
    const engine = new StageEngine({
      path: file,
      contextLength: 256,
      sessions: 1,
      batchTokens: 64,
      threads,
      ...on,
    });
    stack.defer(() => engine.stop());
    await engine.start();
    await engine.openSequence(0, undefined);
    return engine;
  };
  const whole = await open(path);
  const stages: StageEngine[] = [];
  for (const shard of split.shards) stages.push(await open(shard.path));
  const { rows } = (await readShard(split.shards[0]?.path ?? path))
    .embedding ?? { rows: whole.info?.vocabSize ?? 1 };
  const compare = async (
    position: number,
    tokens: Int32Array,
  ): Promise<number> => {
    signal.throwIfAborted();
    const expected = await run([whole], position, tokens);
    return difference(expected, await run(stages, position, tokens));
  };
  let prefillDifference = 0;
  let position = 0;
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    const tokens = Int32Array.from({ length: CHUNK }, (_, i) =>
      someToken(position + i, rows),
    );
    prefillDifference = Math.max(
      prefillDifference,
      await compare(position, tokens),
    );
    position += CHUNK;
  }
  let decodeDifference = 0;
  for (let i = 0; i < DECODES; i++, position++) {
    decodeDifference = Math.max(
      decodeDifference,
      await compare(position, Int32Array.of(someToken(position, rows))),
    );
  }
  return {
    prefillTokens: CHUNK * CHUNKS,
    decodeTokens: DECODES,
    prefillDifference,
    decodeDifference,
  };
}

/** Tokens spread over the whole vocabulary. */
function someToken(position: number, vocabSize: number): number {
  return (position * 7919 + 13) % vocabSize;
}

async function run(
  stages: readonly StageEngine[],
  position: number,
  tokens: Int32Array,
): Promise<Float32Array> {
  let activations: Uint8Array | undefined;
  for (const stage of stages) {
    const result = await stage.decode(
      0,
      position,
      tokens,
      activations,
      Want.Logits,
    );
    if (result.kind === "logits") return result.logits;
    if (result.kind === "activations") activations = result.bytes;
  }
  throw new ShoalError("INTERNAL", "the last stage gave no logits");
}

/** Infinity if one has a NaN or another length, so that they are never equal by accident. */
function difference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (const [i, x] of a.entries()) {
    const d = Math.abs(x - (b[i] ?? Number.NaN));
    if (!(d <= largest)) largest = Number.isNaN(d) ? Infinity : d;
  }
  return largest;
}
