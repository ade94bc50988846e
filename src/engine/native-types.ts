/** The native functions that native.ts binds, in TypeScript's terms. */

import type { InfillTokens } from "./vocabulary.ts";

/** An address in native memory. */
export type Pointer = bigint & { readonly __pointer: unique symbol };

/** `struct llama_batch`: the arrays have n_tokens entries; `embd` is (n_tokens, n_embd) f32 and excludes `token`. */
export interface LlamaBatch {
  n_tokens: number;
  token: Int32Array | null;
  embd: Float32Array | null;
  pos: Int32Array;
  n_seq_id: Int32Array;
  seq_id: BigUint64Array;
  logits: Int8Array;
}

/** What a library can compute on, as `ggml_backend_dev_…` tells it. */
export interface NativeDevice {
  /** A `ggml_backend_dev_t`. */
  pointer: Pointer;
  /** "Vulkan0" */
  name: string;
  /** "NVIDIA GeForce RTX 4090" */
  description: string;
  /** `enum ggml_backend_dev_type`: 0 CPU, 1 GPU, 2 integrated GPU, 3 an accelerator that helps the CPU. */
  type: number;
  freeBytes: number;
  totalBytes: number;
}

export interface ModelParams {
  /** Pointers of devices and a 0 after them; null: every GPU. */
  devices: BigUint64Array | null;
  /** -1: all. */
  n_gpu_layers: number;
  progress_callback: Pointer | null;
  vocab_only: boolean;
  use_extra_bufts: boolean;
  [field: string]: unknown;
}

export interface ContextParams {
  n_ctx: number;
  n_batch: number;
  n_ubatch: number;
  n_seq_max: number;
  n_outputs_max: number;
  n_outputs_max_per_seq: number;
  n_threads: number;
  n_threads_batch: number;
  cb_eval: Pointer | null;
  kv_unified: boolean;
  [field: string]: unknown;
}

/** How a ggml type's rows become f32; `to_float` is undefined for F32. */
export interface TypeTraits {
  blockSize: number;
  blockBytes: number;
  toFloat:
    ((row: Uint8Array, out: Float32Array, count: number) => void) | undefined;
}

/** A tensor that has memory of its own in the process, no view of another's. */
export interface TensorMemory {
  name: string;
  address: number;
  sizeBytes: number;
  /** Its shape, 4 numbers, rows first. */
  shape: readonly number[];
}

export interface NativeTensors {
  tensorName(tensor: Pointer): string;
  tensorBytes(tensor: Pointer): number;
  readTensor(tensor: Pointer, into: Float32Array, sizeBytes: number): void;
  writeTensor(tensor: Pointer, from: Float32Array, sizeBytes: number): void;
  /** Of the tensor that this one is a view of, or of itself; undefined where it is not the process's own memory. */
  memoryOf(tensor: Pointer): TensorMemory | undefined;
}

export interface NativeSamplers {
  newChain(): Pointer;
  freeSampler(sampler: Pointer): void;
  chainAdd(chain: Pointer, sampler: Pointer): void;
  chainLength(chain: Pointer): number;
  chainRemove(chain: Pointer, index: number): Pointer;
  samplerAccept(sampler: Pointer, token: number): void;
  /** Changes the candidates: `llama_token_data_array` (candidates.ts). Accepts nothing. */
  samplerApply(sampler: Pointer, candidates: Uint8Array): void;
  /** Samples from the i-th output of the last decode and accepts the token. */
  sample(chain: Pointer, context: Pointer, index: number): number;
  greedy(): Pointer;
  dist(seed: number): Pointer;
  topK(k: number): Pointer;
  topP(p: number, minKeep: number): Pointer;
  minP(p: number, minKeep: number): Pointer;
  typical(p: number, minKeep: number): Pointer;
  topNSigma(n: number): Pointer;
  xtc(
    probability: number,
    threshold: number,
    minKeep: number,
    seed: number,
  ): Pointer;
  temperature(t: number): Pointer;
  dynamicTemperature(t: number, range: number, exponent: number): Pointer;
  penalties(
    vocabSize: number,
    lastN: number,
    repeat: number,
    frequency: number,
    presence: number,
  ): Pointer;
  /** Looks through the vocabulary for each breaker. `lastN`: of how many tokens it takes memory. */
  dry(
    vocab: Pointer,
    multiplier: number,
    base: number,
    allowedLength: number,
    lastN: number,
    breakers: readonly string[],
  ): Pointer;
  /** Both begin with a surprise of at most 2 × tau, and change that with eta. */
  mirostat(vocabSize: number, seed: number, tau: number, eta: number): Pointer;
  mirostatV2(seed: number, tau: number, eta: number): Pointer;
  logitBias(
    vocabSize: number,
    bias: readonly (readonly [token: number, bias: number])[],
  ): Pointer;
}

export interface Native extends NativeTensors, NativeSamplers {
  /** Where the libraries were found. */
  directory: string;
  /** Of llama.cpp: "0.5.0". */
  readonly version: string;
  devices(): NativeDevice[];
  systemInfo(): string;
  modelDefaultParams(): ModelParams;
  contextDefaultParams(): ContextParams;
  /** Throws ENGINE_LOAD_FAILED with llama.cpp's reason. */
  loadModel(path: string, params: ModelParams): Pointer;
  freeModel(model: Pointer): void;
  /** Throws ENGINE_LOAD_FAILED with llama.cpp's reason. */
  newContext(model: Pointer, params: ContextParams): Pointer;
  freeContext(context: Pointer): void;
  /**
   * 0 on success, 1 if no KV slot was found, 2 if aborted, negative on error.
   */
  decode(context: Pointer, batch: LlamaBatch): number;
  /** The logits of the i-th output of the last decode (-1 is the last), a view of native memory, n_vocab long. */
  logits(context: Pointer, index: number, vocabSize: number): Float32Array;
  contextPerSequence(context: Pointer): number;
  embeddingLength(model: Pointer): number;
  /** Of a row to feed: wider than a row of the table where pictures could come with it. */
  inputLength(model: Pointer): number;
  /** `enum llama_rope_type`. */
  ropeType(model: Pointer): number;
  layerCount(model: Pointer): number;
  trainedContext(model: Pointer): number;
  modelSizeBytes(model: Pointer): number;
  removeSequence(
    context: Pointer,
    sequence: number,
    from: number,
    to: number,
  ): boolean;
  /** Positions that a sequence has. */
  sequenceLength(context: Pointer, sequence: number): number;
  /** The first position that all layers have; -1 of an empty sequence. */
  firstPosition(context: Pointer, sequence: number): number;
  /** Tokens that a layer with a sliding window attends to; 0 where there is none. */
  windowLength(model: Pointer): number;
  /** What `readSequence` writes. */
  sequenceBytes(context: Pointer, sequence: number): number;
  /** Writes what a sequence has into `length` bytes. False if that failed. */
  readSequence(
    context: Pointer,
    sequence: number,
    into: Pointer | Uint8Array,
    length: number,
  ): boolean;
  /** Gives a sequence what was read. False if it is not of such a context. */
  writeSequence(
    context: Pointer,
    sequence: number,
    from: Pointer | Uint8Array,
    length: number,
  ): boolean;
  /** States of fixed size instead of keys and values, in all layers or in some: a sequence can not go back to an earlier position. */
  isRecurrent(model: Pointer): boolean;
  isHybrid(model: Pointer): boolean;
  /** Threads for one token, and for more. */
  setThreads(context: Pointer, threads: number, batchThreads: number): void;
  typeTraits(type: number): TypeTraits;
  vocab(model: Pointer): Pointer;
  vocabSize(vocab: Pointer): number;
  vocabType(vocab: Pointer): number;
  isEndOfGeneration(vocab: Pointer, token: number): boolean;
  isControl(vocab: Pointer, token: number): boolean;
  bos(vocab: Pointer): number;
  eos(vocab: Pointer): number;
  addsBos(vocab: Pointer): boolean;
  infillTokens(vocab: Pointer): InfillTokens;
  /** Tokens written, or the negated count that would be needed. */
  tokenize(
    vocab: Pointer,
    text: Uint8Array,
    tokens: Int32Array,
    addSpecial: boolean,
    parseSpecial: boolean,
  ): number;
  /** Bytes written, or the negated count that would be needed. */
  tokenToPiece(
    vocab: Pointer,
    token: number,
    into: Uint8Array,
    special: boolean,
  ): number;
  /** A native callback, called for every tensor: see ggml_backend_sched_eval_callback. */
  evalCallback(callback: (tensor: Pointer, ask: boolean) => boolean): Pointer;
  progressCallback(callback: (fraction: number) => boolean): Pointer;
  /** Of evalCallback or progressCallback, when nothing calls it any more. */
  freeCallback(callback: Pointer): void;
  addressOf(array: ArrayBufferView): bigint;
}

/** A line of the libraries' own log; levels: 1 debug, 2 info, 3 warning, 4 error, 5 continued. */
export type NativeLog = (level: number, text: string) => void;
