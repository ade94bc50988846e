/**
 * One loaded shard: a llama.cpp model and context that turn token ids or activations into activations or logits. It lives in the engine's
 * child process (see child.ts) and is synchronous, because llama.cpp calls back on the decoding thread.
 *
 * How a stage gets its output out of unmodified llama.cpp: the scheduler asks for every tensor whether we want it. We want the last layer's
 * (`l_out-<i>`), copy it and answer false, which ends the graph before the dummy norm and head. Where the graph treats its input first (a
 * scale, a norm), we want the last node of that treatment too, and write the activations that came over it.
 */
import { refuseOlderEngine, type ShardInfo } from "../model/index.ts";
import { ShoalError } from "../lib/index.ts";
import { type DeviceOptions, gpusFor, pointersOf } from "./native-devices.ts";
import { EmbeddingTable } from "./embedding-table.ts";
import { loadNative } from "./native.ts";
import type {
  ContextParams,
  LlamaBatch,
  Native,
  Pointer,
} from "./native-types.ts";

/** LLAMA_ROPE_TYPE_MROPE and _IMROPE (include/llama.h). */
const FOUR_POSITIONS: ReadonlySet<number> = new Set([8, 40]);

const ALL_LAYERS = -1;

export interface StageOptions extends DeviceOptions {
  /** Tokens one session may hold, prompt and reply. */
  contextLength: number;
  /** Sessions at once, each with its own KV sequence. */
  sessions: number;
  /** The most tokens in one decode: a prefill chunk. */
  batchTokens: number;
  threads: number;
  /** Layers that go to the GPU; all where no number is given. */
  gpuLayers?: number;
}

export class Stage implements Disposable {
  readonly embeddingLength: number;
  /** Values of a token between two stages. */
  readonly activationLength: number;
  readonly contextLength: number;
  /** Only the last stage has logits. */
  readonly vocabSize: number;
  readonly model: Pointer;
  readonly context: Pointer;
  #native: Native;
  #shard: ShardInfo;
  #batchTokens: number;
  #embedding: EmbeddingTable | undefined;
  /** (batchTokens, activationLength): what the callback captured in the last decode. */
  #captured: Float32Array;
  #capturedBytes = 0;
  /** (batchTokens, n_embd_inp): rows to feed, wider than a row of the table where pictures could come with them. */
  #inputRows: Float32Array;
  #inputWidth: number;
  /** What is to be written over the inject tensor in this decode. */
  #inject: Float32Array | undefined;
  /** Each position stands for time, height and width. */
  #hasFourPositions: boolean;
  #batch: LlamaBatch;
  #sequence = new Int32Array(1);

  /** Loads and maps the file. Throws ENGINE_LOAD_FAILED; `onProgress` gets the fraction of bytes that are loaded. */
  constructor(
    shard: ShardInfo,
    options: StageOptions,
    onProgress: (fraction: number) => void = () => {},
  ) {
    const native = loadNative();
    refuseOlderEngine(shard.architecture, native.version);
    this.#native = native;
    this.#shard = shard;
    this.#batchTokens = options.batchTokens;
    const modelParams = native.modelDefaultParams();
    modelParams.devices = pointersOf(gpusFor(native, options));
    modelParams.n_gpu_layers = options.gpuLayers ?? ALL_LAYERS;
    modelParams.progress_callback = native.progressCallback((fraction) => {
      onProgress(fraction);
      return true;
    });
    const model = native.loadModel(shard.path, modelParams);
    this.model = model;
    this.embeddingLength = native.embeddingLength(model);
    this.activationLength = shard.activationLength;
    this.vocabSize = native.vocabSize(native.vocab(model));
    this.#inputWidth = native.inputLength(model);
    this.#hasFourPositions = FOUR_POSITIONS.has(native.ropeType(model));
    this.#captured = new Float32Array(
      shard.isLast ? 0 : options.batchTokens * this.activationLength,
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
      this.#takesTokens ? 0 : options.batchTokens * this.#inputWidth,
    );
    this.#batch = {
      n_tokens: 0,
      token: null,
      embd: null,
      pos: new Int32Array(4 * options.batchTokens),
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
    // One decode is one graph run, so the callback captures all rows together. llama.cpp tries a batch of all sessions, the same number of
    // tokens for each; the graph of Kimi Linear aborts if that does not work out.
    params.n_ubatch = roundUp(options.batchTokens, options.sessions);
    params.n_batch = params.n_ubatch;
    params.n_threads = options.threads;
    params.n_threads_batch = options.threads;
    params.kv_unified = false; // a session's rows are laid out the same whatever the others do, so its result is bit-exact
    if (!this.#shard.isLast) {
      // Every row's activations are wanted, so every row counts as an output.
      params.n_outputs_max = params.n_batch;
      params.n_outputs_max_per_seq = params.n_batch;
    }
    if (!this.#shard.isLast || this.#injects) {
      params.cb_eval = this.#native.evalCallback((tensor, ask) =>
        this.#onTensor(tensor, ask),
      );
    }
    return params;
  }

  /** Fed with token ids, not with rows. */
  get #takesTokens(): boolean {
    const { isFirst, embedding, takesTokens } = this.#shard;
    return isFirst ? embedding === undefined : takesTokens;
  }

  get #injects(): boolean {
    return !this.#shard.isFirst && this.#shard.injectTensor !== undefined;
  }

  #onTensor(tensor: Pointer, ask: boolean): boolean {
    const name = this.#native.tensorName(tensor);
    const isInput = this.#injects && name === this.#shard.injectTensor;
    if (ask)
      return (
        isInput || (!this.#shard.isLast && name === this.#shard.boundaryTensor)
      );
    if (isInput) {
      const values = this.#inject;
      if (values?.byteLength !== this.#native.tensorBytes(tensor)) return false; // decode reports it
      this.#native.writeTensor(tensor, values, values.byteLength);
      this.#inject = undefined;
      return true;
    }
    this.#capturedBytes = this.#native.tensorBytes(tensor);
    if (this.#capturedBytes > this.#captured.byteLength) return false;
    this.#native.readTensor(tensor, this.#captured, this.#capturedBytes);
    return false; // the rest of the graph is the dummy norm and head
  }

  /**
   * Decodes `tokens` (n) of one session at positions `position…position+n-1`. A stage after the first takes `activations`
   * (n, activationLength) instead of looking the tokens up. Returns activations (n, activationLength), a view that the next decode overwrites, or
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
    for (let i = 0; i < n; i++) batch.logits[i] = this.#shard.isLast ? 0 : 1;
    this.#setPositions(position, n);
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
    if (this.#inject !== undefined) {
      this.#inject = undefined;
      throw new ShoalError(
        "ENGINE_FAILED",
        `the graph has no ${this.#shard.injectTensor ?? "?"} of the activations' size`,
      );
    }
    if (this.#shard.isLast) return undefined;
    const values = n * this.activationLength;
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
    this.#inject = undefined;
    if (this.#takesTokens && this.#shard.isFirst) {
      batch.token = tokens;
      return;
    }
    const n = tokens.length;
    const given = this.#embedding === undefined ? activations : undefined;
    if (
      this.#embedding === undefined &&
      given?.length !== n * this.activationLength
    ) {
      throw new ShoalError(
        "ENGINE_FAILED",
        `expected activations of ${n} × ${this.activationLength}, got ${given?.length ?? 0} values`,
      );
    }
    if (given !== undefined && this.#injects) {
      this.#inject = given;
      // What is fed is replaced, but must be valid: the vocabulary may be of one token.
      if (this.#takesTokens) batch.token = new Int32Array(n);
      else batch.embd = this.#inputRows.subarray(0, n * this.#inputWidth);
    } else batch.embd = this.#rowsToFeed(n, tokens, given);
  }

  /** (n, n_embd_inp) */
  #rowsToFeed(
    n: number,
    tokens: Int32Array,
    activations: Float32Array | undefined,
  ): Float32Array {
    const width = this.embeddingLength;
    const isWider = this.#inputWidth > width;
    if (activations !== undefined && !isWider) return activations;
    const rows = this.#inputRows.subarray(0, n * this.#inputWidth);
    const from = activations ?? (isWider ? new Float32Array(n * width) : rows);
    if (activations === undefined) {
      this.#embedding?.lookUp(tokens, from);
      if (this.#shard.scalesRows) scale(from, Math.sqrt(width));
    }
    if (!isWider) return rows;
    for (let i = 0; i < n; i++)
      rows.set(from.subarray(i * width, (i + 1) * width), i * this.#inputWidth);
    return rows;
  }

  /** llama.cpp spreads a text's positions over time, height and width by itself for token ids, not for rows. */
  #setPositions(position: number, n: number): void {
    const { pos } = this.#batch;
    const blocks = this.#hasFourPositions && !this.#takesTokens ? 4 : 1;
    for (let block = 0; block < blocks; block++)
      for (let i = 0; i < n; i++)
        pos[block * n + i] = block === 3 ? 0 : position + i;
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
          : new Float32Array(this.activationLength).fill(0.01),
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

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

/** In f32, as llama.cpp does. */
function scale(values: Float32Array, by: number): void {
  const factor = Math.fround(by);
  for (const [i, value] of values.entries()) values[i] = value * factor;
}
