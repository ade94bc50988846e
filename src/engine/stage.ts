/**
 * One loaded shard: a llama.cpp model and context that turn token ids or activations into activations or logits. It lives in the engine's
 * child process (see child.ts) and is synchronous, because llama.cpp calls back on the decoding thread. tap.ts says how its output comes out
 * of unmodified llama.cpp.
 */
import { refuseOlderEngine, type ShardInfo } from "../model/index.ts";
import { ShoalError } from "../lib/index.ts";
import {
  type ContextOptions,
  contextParams,
  setKernels,
} from "./context-params.ts";
import { type DeviceOptions, gpusFor, pointersOf } from "./native-devices.ts";
import { embeddingRows } from "./embedding-rows.ts";
import { KvPages } from "./kv-pages.ts";
import { readMapped, writeMapped } from "./native-files.ts";
import { systemPages } from "./native-pages.ts";
import { loadNative } from "./native.ts";
import type { LlamaBatch, Native, Pointer } from "./native-types.ts";
import { SharedOrder } from "./shared-order.ts";
import { StageInput } from "./stage-input.ts";
import { Tap } from "./tap.ts";

const ALL_LAYERS = -1;

export interface StageOptions extends DeviceOptions, ContextOptions {
  /** Layers that go to the GPU; all where no number is given. */
  gpuLayers?: number;
}

/** A token of one of the sessions in a shared decode. */
export interface SharedRow {
  sequence: number;
  position: number;
  token: number;
  /** (activationLength), of a stage after the first. */
  activations?: Float32Array | undefined;
}

export class Stage implements Disposable {
  readonly embeddingLength: number;
  /** Values of a token between two stages. */
  readonly activationLength: number;
  readonly contextLength: number;
  readonly sessions: number;
  readonly batchTokens: number;
  /** Only the last stage has logits. */
  readonly vocabSize: number;
  readonly model: Pointer;
  readonly context: Pointer;
  #native: Native;
  #shard: ShardInfo;
  #tap: Tap;
  #input: StageInput;
  #pages: KvPages;
  #batch: LlamaBatch;
  #sequences: Int32Array;
  #tokens: Int32Array;
  #shared = new SharedOrder();
  /** (rows, activationLength): what comes in a shared decode, made when the first one needs it. */
  #gathered = new Float32Array();

  /** Loads and maps the file. Throws ENGINE_LOAD_FAILED; `onProgress` gets the fraction of bytes that are loaded. */
  constructor(
    shard: ShardInfo,
    options: StageOptions,
    onProgress: (fraction: number) => void = () => {},
  ) {
    const native = loadNative();
    refuseOlderEngine(shard.architecture, native.version);
    const { batchTokens, sessions, kv = "f16" } = options;
    this.#native = native;
    this.#shard = shard;
    this.batchTokens = batchTokens;
    this.sessions = sessions;
    const modelParams = native.modelDefaultParams();
    setKernels(modelParams, kv);
    const gpus = gpusFor(native, options);
    const pages = gpus.length === 0 ? systemPages() : undefined;
    this.#pages = new KvPages(sessions, pages);
    modelParams.devices = pointersOf(gpus);
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
    this.#tap = new Tap(native, shard, batchTokens);
    try {
      this.context = native.newContext(
        model,
        contextParams(native, options, this.#tap.callback, shard),
      );
    } catch (error) {
      native.freeModel(model);
      this.#tap[Symbol.dispose]();
      throw error;
    }
    this.contextLength = Math.min(
      options.contextLength,
      native.contextPerSequence(this.context),
    );
    const { injects } = this.#tap;
    this.#input = new StageInput(native, model, shard, {
      batchTokens,
      injects,
    });
    this.#tokens = new Int32Array(batchTokens);
    this.#sequences = new Int32Array(batchTokens);
    const sequencesAt = native.addressOf(this.#sequences);
    this.#batch = {
      n_tokens: 0,
      token: null,
      embd: null,
      pos: new Int32Array(4 * batchTokens),
      n_seq_id: new Int32Array(batchTokens).fill(1),
      seq_id: BigUint64Array.from(
        this.#sequences,
        (_, i) => sequencesAt + BigInt(4 * i),
      ),
      logits: new Int8Array(batchTokens),
    };
  }

  /**
   * Decodes `tokens` (n) of one session at positions `position…position+n-1`. A stage after the first takes `activations`
   * (n, activationLength) instead of looking the tokens up. Returns activations (n, activationLength), a view that the next decode overwrites, or
   * undefined on the last stage, where the last row's logits are ready; or with `embeds` no logits, but its `embedding`.
   */
  decode(
    sequence: number,
    position: number,
    tokens: Int32Array,
    activations: Float32Array | undefined,
    embeds = false,
  ): Float32Array | undefined {
    const n = tokens.length;
    const { isLast } = this.#shard;
    this.#checkRows(n);
    this.#checkPosition(position, n);
    const outputs = !isLast ? n : embeds ? embeddingRows(n) : 1;
    for (let i = 0; i < n; i++)
      this.#place(i, n, sequence, position + i, i >= n - outputs);
    this.#shared.clear();
    return this.#run(tokens, activations, isLast && embeds ? outputs : 0);
  }

  /** Of the last row of the last decode that was to give one: (n_embd), as llama.cpp pools it. The next such decode overwrites it. */
  get embedding(): Float32Array {
    return this.#tap.lastNorm;
  }

  /**
   * Decodes one token each of several sessions. Returns activations (n, activationLength) in the order of `rows`, a view that the next decode
   * overwrites, or undefined on the last stage, where each row's logits are ready. llama.cpp computes rows of neighbouring sequences together
   * and others one after the other. Which bits come out may depend on how many there are: see measure-stage.ts.
   */
  decodeShared(rows: readonly SharedRow[]): Float32Array | undefined {
    const n = rows.length;
    this.#checkRows(n);
    this.#shared.sort(rows);
    const width = this.#input.takesActivations ? this.activationLength : 0;
    if (this.#gathered.length < n * width)
      this.#gathered = new Float32Array(n * width);
    for (const [place, index] of this.#shared.order.entries()) {
      const { sequence, position, token, activations } = rows[index] ?? {};
      if (sequence === undefined || position === undefined) continue;
      this.#checkPosition(position, 1);
      this.#place(place, n, sequence, position, true);
      this.#tokens[place] = token ?? 0;
      if (width === 0) continue;
      if (activations?.length !== width) {
        throw new ShoalError(
          "ENGINE_FAILED",
          `expected activations of ${width} values, got ${activations?.length ?? 0}`,
        );
      }
      this.#gathered.set(activations, place * width);
    }
    const out = this.#run(
      this.#tokens.subarray(0, n),
      width === 0 ? undefined : this.#gathered.subarray(0, n * width),
    );
    return out && this.#shared.inGivenOrder(out, this.activationLength);
  }

  #checkRows(n: number): void {
    if (n >= 1 && n <= this.batchTokens) return;
    throw new ShoalError(
      "ENGINE_FAILED",
      `a decode takes 1 to ${this.batchTokens} tokens, got ${n}`,
      { tokens: n },
    );
  }

  #checkPosition(position: number, n: number): void {
    if (position >= 0 && position + n <= this.contextLength) return;
    throw new ShoalError(
      "CONTEXT_EXCEEDED",
      `position ${position + n} is past the context of ${this.contextLength} tokens`,
      { position: position + n, contextLength: this.contextLength },
    );
  }

  #place(
    i: number,
    n: number,
    sequence: number,
    position: number,
    isOutput: boolean,
  ): void {
    this.#sequences[i] = sequence;
    this.#batch.logits[i] = isOutput ? 1 : 0;
    this.#input.setPosition(this.#batch.pos, i, n, position);
  }

  #run(
    tokens: Int32Array,
    activations: Float32Array | undefined,
    normRows = 0,
  ): Float32Array | undefined {
    const n = tokens.length;
    this.#batch.n_tokens = n;
    const inject = this.#input.feed(this.#batch, tokens, activations);
    this.#tap.begin(inject, normRows);
    const status = this.#native.decode(this.context, this.#batch);
    if (status !== 0) {
      throw new ShoalError("ENGINE_FAILED", `llama_decode returned ${status}`, {
        status,
        position: this.#batch.pos[0] ?? 0,
        tokens: n,
      });
    }
    return this.#tap.end(n);
  }

  /** Where llama.cpp has the logits of a row of the last decode, as it was given; -1 is the last one. */
  outputOf(index: number): number {
    return this.#shared.placeOf(index);
  }

  /** The logits of a row of the last decode, (n_vocab), copied: of its last row, or of one of a shared decode. Last stage only. */
  logits(index = -1): Float32Array {
    const output = this.outputOf(index);
    return this.#native.logits(this.context, output, this.vocabSize).slice();
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

  get isFirst(): boolean {
    return this.#shard.isFirst;
  }

  /** Tokens that it can be fed with. */
  get tokens(): number {
    return this.#shard.embedding?.rows ?? this.vocabSize;
  }

  /** Takes back what a sequence has from `position` on. False where it has states that can not be taken back. */
  rewind(sequence: number, position: number): boolean {
    return this.#native.removeSequence(this.context, sequence, position, -1);
  }

  /**
   * The earliest position that a sequence can go back to: its end where it has states, and where windows slide, the first one whose window is
   * still there. llama.cpp saves no more of a window than the end needs.
   */
  earliestOf(sequence: number, isSaved: boolean): number {
    const { context, model } = this;
    const native = this.#native;
    const window = native.windowLength(model);
    if (
      native.isRecurrent(model) ||
      native.isHybrid(model) ||
      (isSaved && window > 0)
    )
      return this.lengthOf(sequence);
    const first = Math.max(0, native.firstPosition(context, sequence));
    return first === 0 ? 0 : first + window;
  }

  /** Positions that a sequence has. */
  lengthOf(sequence: number): number {
    return this.#native.sequenceLength(this.context, sequence);
  }

  /** Bytes of the file that `save` writes. */
  bytesOf(sequence: number): number {
    return this.#native.sequenceBytes(this.context, sequence);
  }

  /** Writes what a sequence has into a file. False if there is no room for it. */
  save(sequence: number, path: string): boolean {
    const length = this.bytesOf(sequence);
    return writeMapped(path, length, (memory) =>
      this.#native.readSequence(this.context, sequence, memory, length),
    );
  }

  /** Gives a free sequence what was saved, `length` bytes. False where the file is not of such a stage. */
  load(sequence: number, path: string, length: number): boolean {
    return readMapped(path, (memory) =>
      this.#native.writeSequence(this.context, sequence, memory, length),
    );
  }

  /** For the next decodes. */
  setThreads(threads: number): void {
    this.#native.setThreads(this.context, threads, threads);
  }

  /**
   * Frees a session's KV and gives its memory back, which takes long enough that it is done at a session's end, not between tokens. Keeps it
   * where `returnsPages` is false.
   */
  releasePages(sequence: number): void {
    this.freeSequence(sequence);
    this.#pages.release(sequence);
  }

  /** Whether the memory of keys and values is given back. Known after the dry run: its graph shows where they are. */
  get returnsPages(): boolean {
    return this.#pages.returnsPages;
  }

  /**
   * Runs one token and checks that numbers come out, which is what "loaded" means. Leaves no trace, and no memory of keys and values: llama.cpp
   * writes to all of it when it makes the context.
   */
  dryRun(): void {
    this.#tap.observer = (tensor, name) =>
      this.#pages.notice(this.#native, tensor, name);
    const out =
      this.decode(
        0,
        0,
        Int32Array.of(0),
        this.#shard.isFirst
          ? undefined
          : new Float32Array(this.activationLength).fill(0.01),
      ) ?? this.logits();
    this.#tap.observer = undefined;
    this.freeSequence(0);
    this.#pages.releaseAll();
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
    this.#tap[Symbol.dispose]();
    this.#input[Symbol.dispose]();
  }
}
