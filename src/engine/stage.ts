/**
 * One loaded shard: a llama.cpp model and context that turn token ids or activations into activations or logits. It lives in the engine's
 * child process (see child.ts) and is synchronous, because llama.cpp calls back on the decoding thread.
 *
 * How a stage gets its output out of unmodified llama.cpp: the scheduler asks for every tensor whether we want it. We want the last layer's
 * (`l_out-<i>`), copy it and answer false, which ends the graph before the dummy norm and head.
 */
import { closeSync, openSync, readSync } from "node:fs";
import type { ShardInfo } from "../model/index.ts";
import { ShoalError } from "../lib/index.ts";
import { loadNative } from "./native.ts";
import type {
  ContextParams,
  LlamaBatch,
  Native,
  Pointer,
  TypeTraits,
} from "./native-types.ts";

export interface StageOptions {
  /** Tokens one session may hold, prompt and reply. */
  contextLength: number;
  /** Sessions at once, each with its own KV sequence. */
  sessions: number;
  /** The most tokens in one decode: a prefill chunk. */
  batchTokens: number;
  threads: number;
}

/** Reads rows of the embedding table behind the shard's tensors, with the arithmetic of ggml_get_rows. */
class EmbeddingTable {
  #fd: number;
  #traits: TypeTraits;
  #row: Uint8Array;
  #offset: number;
  #width: number;
  #rows: number;

  constructor(
    native: Native,
    path: string,
    table: { type: number; offset: number; rows: number },
    width: number,
  ) {
    this.#fd = openSync(path, "r");
    this.#traits = native.typeTraits(table.type);
    this.#row = new Uint8Array(
      (width / this.#traits.blockSize) * this.#traits.blockBytes,
    );
    this.#offset = table.offset;
    this.#width = width;
    this.#rows = table.rows;
  }

  /** tokens (n) → out (n, n_embd). */
  lookUp(tokens: Int32Array, out: Float32Array): void {
    for (const [i, token] of tokens.entries()) {
      if (token < 0 || token >= this.#rows) {
        throw new ShoalError(
          "ENGINE_FAILED",
          `token ${token} is outside the vocabulary of ${this.#rows}`,
          { token },
        );
      }
      const got = readSync(
        this.#fd,
        this.#row,
        0,
        this.#row.length,
        this.#offset + token * this.#row.length,
      );
      if (got !== this.#row.length)
        throw new ShoalError(
          "FILE_UNREADABLE",
          "the embedding table ends early",
          { token },
        );
      const row = out.subarray(i * this.#width, (i + 1) * this.#width);
      if (this.#traits.toFloat === undefined)
        row.set(new Float32Array(this.#row.buffer, 0, this.#width));
      else this.#traits.toFloat(this.#row, row, this.#width);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

export class Stage implements Disposable {
  readonly embeddingLength: number;
  readonly contextLength: number;
  /** Only the last stage has logits. */
  readonly vocabSize: number;
  readonly model: Pointer;
  readonly context: Pointer;
  #native: Native;
  #shard: ShardInfo;
  #batchTokens: number;
  #embedding: EmbeddingTable | undefined;
  /** (batchTokens, n_embd): what the callback captured in the last decode. */
  #captured: Float32Array;
  #capturedBytes = 0;
  #inputRows: Float32Array;
  #batch: LlamaBatch;
  #sequence = new Int32Array(1);

  /** Loads and maps the file. Throws ENGINE_LOAD_FAILED; `onProgress` gets the fraction of bytes that are loaded. */
  constructor(
    shard: ShardInfo,
    options: StageOptions,
    onProgress: (fraction: number) => void = () => {},
  ) {
    const native = loadNative();
    this.#native = native;
    this.#shard = shard;
    this.#batchTokens = options.batchTokens;
    const modelParams = native.modelDefaultParams();
    modelParams.progress_callback = native.progressCallback((fraction) => {
      onProgress(fraction);
      return true;
    });
    const model = native.loadModel(shard.path, modelParams);
    this.model = model;
    this.embeddingLength = native.embeddingLength(model);
    this.vocabSize = native.vocabSize(native.vocab(model));
    this.#captured = new Float32Array(
      shard.isLast ? 0 : options.batchTokens * this.embeddingLength,
    );
    try {
      this.context = native.newContext(model, this.#contextParams(options));
    } catch (error) {
      native.freeModel(model);
      throw error;
    }
    this.contextLength = Math.min(
      options.contextLength,
      native.contextPerSequence(this.context),
    );
    if (shard.embedding !== undefined) {
      this.#embedding = new EmbeddingTable(
        native,
        shard.path,
        shard.embedding,
        this.embeddingLength,
      );
    }
    this.#inputRows = new Float32Array(
      this.#embedding === undefined
        ? 0
        : options.batchTokens * this.embeddingLength,
    );
    this.#batch = {
      n_tokens: 0,
      token: null,
      embd: null,
      pos: new Int32Array(options.batchTokens),
      n_seq_id: new Int32Array(options.batchTokens).fill(1),
      seq_id: new BigUint64Array(options.batchTokens).fill(
        native.addressOf(this.#sequence),
      ),
      logits: new Int8Array(options.batchTokens),
    };
  }

  #contextParams(options: StageOptions): ContextParams {
    const params = this.#native.contextDefaultParams();
    params.n_ctx = options.contextLength * options.sessions;
    params.n_seq_max = options.sessions;
    params.n_batch = options.batchTokens;
    params.n_ubatch = options.batchTokens; // one decode is one graph run, so the callback captures all rows together
    params.n_threads = options.threads;
    params.n_threads_batch = options.threads;
    params.kv_unified = false; // a session's rows are laid out the same whatever the others do, so its result is bit-exact
    if (!this.#shard.isLast) {
      // Every row's activations are wanted, so every row counts as an output.
      params.n_outputs_max = options.batchTokens;
      params.n_outputs_max_per_seq = options.batchTokens;
      params.cb_eval = this.#native.evalCallback((tensor, ask) =>
        this.#onTensor(tensor, ask),
      );
    }
    return params;
  }

  #onTensor(tensor: Pointer, ask: boolean): boolean {
    if (ask)
      return this.#native.tensorName(tensor) === this.#shard.boundaryTensor;
    this.#capturedBytes = this.#native.tensorBytes(tensor);
    if (this.#capturedBytes > this.#captured.byteLength) return false;
    this.#native.readTensor(tensor, this.#captured, this.#capturedBytes);
    return false; // the rest of the graph is the dummy norm and head
  }

  /**
   * Decodes `tokens` (n) of one session at positions `position…position+n-1`. A stage after the first takes `activations`
   * (n, n_embd) instead of looking the tokens up. Returns activations (n, n_embd), a view that the next decode overwrites, or
   * undefined on the last stage, where the last row's logits are ready.
   */
  decode(
    sequence: number,
    position: number,
    tokens: Int32Array,
    activations: Float32Array | undefined,
  ): Float32Array | undefined {
    const n = tokens.length;
    if (n < 1 || n > this.#batchTokens) {
      throw new ShoalError(
        "ENGINE_FAILED",
        `a decode takes 1 to ${this.#batchTokens} tokens, got ${n}`,
        { tokens: n },
      );
    }
    if (position < 0 || position + n > this.contextLength) {
      throw new ShoalError(
        "CONTEXT_EXCEEDED",
        `position ${position + n} is past the context of ${this.contextLength} tokens`,
        {
          position: position + n,
          contextLength: this.contextLength,
        },
      );
    }
    const batch = this.#batch;
    this.#setInput(tokens, activations);
    batch.n_tokens = n;
    this.#sequence[0] = sequence;
    for (let i = 0; i < n; i++) {
      batch.pos[i] = position + i;
      batch.logits[i] = this.#shard.isLast ? 0 : 1;
    }
    batch.logits[n - 1] = 1;
    this.#capturedBytes = 0;
    const status = this.#native.decode(this.context, batch);
    if (status !== 0) {
      throw new ShoalError("ENGINE_FAILED", `llama_decode returned ${status}`, {
        status,
        position,
        tokens: n,
      });
    }
    if (this.#shard.isLast) return undefined;
    const values = n * this.embeddingLength;
    if (this.#capturedBytes !== values * 4) {
      throw new ShoalError(
        "ENGINE_FAILED",
        `${this.#shard.boundaryTensor} gave ${this.#capturedBytes} bytes, expected ${values * 4}`,
      );
    }
    return this.#captured.subarray(0, values);
  }

  #setInput(tokens: Int32Array, activations: Float32Array | undefined): void {
    const batch = this.#batch;
    batch.token = null;
    batch.embd = null;
    if (this.#embedding !== undefined) {
      const rows = this.#inputRows.subarray(
        0,
        tokens.length * this.embeddingLength,
      );
      this.#embedding.lookUp(tokens, rows);
      batch.embd = rows;
    } else if (this.#shard.isFirst) {
      batch.token = tokens;
    } else {
      if (
        activations === undefined ||
        activations.length !== tokens.length * this.embeddingLength
      ) {
        throw new ShoalError(
          "ENGINE_FAILED",
          `expected activations of ${tokens.length} × ${this.embeddingLength}, got ${activations?.length ?? 0} values`,
        );
      }
      batch.embd = activations;
    }
  }

  /** The logits after the last decode, (n_vocab), copied. Last stage only. */
  logits(): Float32Array {
    return this.#native.logits(this.context, -1, this.vocabSize).slice();
  }

  isEndOfGeneration(token: number): boolean {
    return this.#native.isEndOfGeneration(
      this.#native.vocab(this.model),
      token,
    );
  }

  /** Frees a session's KV. */
  freeSequence(sequence: number): void {
    this.#native.removeSequence(this.context, sequence, -1, -1);
  }

  /** Runs one token and checks that numbers come out, which is what "loaded" means. Leaves no trace. */
  dryRun(): void {
    const out =
      this.decode(
        0,
        0,
        Int32Array.of(0),
        this.#shard.isFirst
          ? undefined
          : new Float32Array(this.embeddingLength).fill(0.01),
      ) ?? this.logits();
    this.freeSequence(0);
    if (!out.every(Number.isFinite)) {
      throw new ShoalError(
        "ENGINE_LOAD_FAILED",
        "the dry run gave values that are not finite; the weights may be damaged",
        {
          path: this.#shard.path,
        },
      );
    }
  }

  [Symbol.dispose](): void {
    this.#native.freeContext(this.context);
    this.#native.freeModel(this.model);
    this.#embedding?.close();
  }
}
