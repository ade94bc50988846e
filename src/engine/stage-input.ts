/** What a stage feeds to its graph: token ids, rows of the embedding table, or activations. */
import { ShoalError } from "../lib/index.ts";
import type { ShardInfo } from "../model/index.ts";
import { EmbeddingTable } from "./embedding-table.ts";
import type { LlamaBatch, Native, Pointer } from "./native-types.ts";

/** LLAMA_ROPE_TYPE_MROPE and _IMROPE (include/llama.h). */
const FOUR_POSITIONS: ReadonlySet<number> = new Set([8, 40]);

export class StageInput implements Disposable {
  #shard: ShardInfo;
  #injects: boolean;
  #embedding: EmbeddingTable | undefined;
  #embeddingLength: number;
  /** (batchTokens, n_embd_inp): rows to feed, wider than a row of the table where pictures could come with them. */
  #rows: Float32Array;
  #width: number;
  #takesTokens: boolean;
  /** Each position stands for time, height and width. */
  #hasFourPositions: boolean;

  constructor(
    native: Native,
    model: Pointer,
    shard: ShardInfo,
    options: { batchTokens: number; injects: boolean },
  ) {
    const { isFirst, embedding, takesTokens } = shard;
    this.#shard = shard;
    this.#injects = options.injects;
    this.#embeddingLength = native.embeddingLength(model);
    this.#width = native.inputLength(model);
    this.#hasFourPositions = FOUR_POSITIONS.has(native.ropeType(model));
    this.#takesTokens = isFirst ? embedding === undefined : takesTokens;
    this.#rows = new Float32Array(
      this.#takesTokens ? 0 : options.batchTokens * this.#width,
    );
    if (embedding !== undefined) {
      const width = this.#embeddingLength;
      this.#embedding = new EmbeddingTable(
        native,
        shard.path,
        embedding,
        width,
      );
    }
  }

  /** Takes activations of the stage before, (n, activationLength). */
  get takesActivations(): boolean {
    return (
      this.#embedding === undefined &&
      !(this.#takesTokens && this.#shard.isFirst)
    );
  }

  /** Puts tokens or rows into the batch; gives what is to be written into the graph instead. */
  feed(
    batch: LlamaBatch,
    tokens: Int32Array,
    activations: Float32Array | undefined,
  ): Float32Array | undefined {
    batch.token = null;
    batch.embd = null;
    if (this.#takesTokens && this.#shard.isFirst) {
      batch.token = tokens;
      return undefined;
    }
    const n = tokens.length;
    const given = this.takesActivations ? activations : undefined;
    const values = n * this.#shard.activationLength;
    if (this.takesActivations && given?.length !== values) {
      throw new ShoalError(
        "ENGINE_FAILED",
        `expected activations of ${n} × ${this.#shard.activationLength}, got ${given?.length ?? 0} values`,
      );
    }
    if (given === undefined || !this.#injects) {
      batch.embd = this.#rowsToFeed(n, tokens, given);
      return undefined;
    }
    // What is fed is replaced, but must be valid: the vocabulary may be of one token.
    if (this.#takesTokens) batch.token = new Int32Array(n);
    else batch.embd = this.#rows.subarray(0, n * this.#width);
    return given;
  }

  /** (n, n_embd_inp) */
  #rowsToFeed(
    n: number,
    tokens: Int32Array,
    activations: Float32Array | undefined,
  ): Float32Array {
    const width = this.#embeddingLength;
    const isWider = this.#width > width;
    if (activations !== undefined && !isWider) return activations;
    const rows = this.#rows.subarray(0, n * this.#width);
    const from = activations ?? (isWider ? new Float32Array(n * width) : rows);
    if (activations === undefined) {
      this.#embedding?.lookUp(tokens, from);
      if (this.#shard.scalesRows) scale(from, Math.sqrt(width));
    }
    if (!isWider) return rows;
    for (let i = 0; i < n; i++)
      rows.set(from.subarray(i * width, (i + 1) * width), i * this.#width);
    return rows;
  }

  /** Row i of n stands at `position`. llama.cpp spreads a text's positions over time, height and width by itself for token ids, not for rows. */
  setPosition(pos: Int32Array, i: number, n: number, position: number): void {
    pos[i] = position;
    if (!this.#hasFourPositions || this.#takesTokens) return;
    pos[n + i] = position;
    pos[2 * n + i] = position;
    pos[3 * n + i] = 0;
  }

  [Symbol.dispose](): void {
    this.#embedding?.close();
  }
}

/** In f32, as llama.cpp does. */
function scale(values: Float32Array, by: number): void {
  const factor = Math.fround(by);
  for (const [i, value] of values.entries()) values[i] = value * factor;
}
