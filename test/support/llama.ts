/**
 * llama.cpp by itself: a whole file, one context with the library's default parameters. Tests compare Shoal's text and logits with it. It
 * shares only the libraries and their bindings with the engine.
 */
import { join } from "node:path";
import koffi from "koffi";
import { GGML_KV_TYPE, type KvType } from "../../src/engine/kv.ts";
import { findLibraries } from "../../src/engine/libraries.ts";
import { loadNative } from "../../src/engine/native.ts";
import type { Pointer } from "../../src/engine/native-types.ts";

export interface LlamaOptions {
  devices?: BigUint64Array | null;
  threads?: number;
  /** Other than f16: as with `--cache-type-k`, `--cache-type-v` and `--no-repack`. */
  kv?: KvType;
  /** As with `--embeddings`: prompts give embeddings, pooled as the model says. */
  embeddings?: boolean;
}

export class Llama implements Disposable {
  #native = loadNative();
  #model: Pointer;
  #context: Pointer;
  #vocab: Pointer;

  constructor(
    path: string,
    contextLength = 512,
    {
      devices = null,
      threads = 1,
      kv = "f16",
      embeddings = false,
    }: LlamaOptions = {},
  ) {
    const native = this.#native;
    const modelParams = { ...native.modelDefaultParams(), devices };
    if (kv !== "f16") modelParams.use_extra_bufts = false;
    this.#model = native.loadModel(path, modelParams)!;
    const params = native.contextDefaultParams();
    params.n_ctx = contextLength;
    params.n_threads = threads;
    params.n_threads_batch = threads;
    params.embeddings = embeddings;
    if (kv !== "f16") {
      params.type_k = GGML_KV_TYPE[kv];
      params.type_v = GGML_KV_TYPE[kv];
    }
    this.#context = native.newContext(this.#model, params)!;
    this.#vocab = native.vocab(this.#model);
  }

  tokenize(text: string, parseSpecial = false): Int32Array {
    const bytes = Buffer.from(text);
    const tokens = new Int32Array(bytes.length + 8);
    const count = this.#native.tokenize(
      this.#vocab,
      bytes,
      tokens,
      true,
      parseSpecial,
    );
    return tokens.slice(0, count);
  }

  /** The most probable tokens after `prompt`, up to the end of generation or `maxTokens`; never `banned`. */
  greedy(
    prompt: Int32Array,
    maxTokens: number,
    banned: readonly number[] = [],
  ): number[] {
    this.#native.removeSequence(this.#context, 0, -1, -1);
    const size = this.#native.vocabSize(this.#vocab);
    const out: number[] = [];
    let next = prompt;
    for (let position = 0; out.length < maxTokens; position += next.length) {
      if (out.length > 0) next = Int32Array.of(out.at(-1)!);
      this.#decode(next, position);
      const logits = this.#native.logits(this.#context, -1, size);
      for (const token of banned) logits[token] = -Infinity;
      const token = argmax(logits);
      out.push(token);
      if (this.#native.isEndOfGeneration(this.#vocab, token)) break;
    }
    return out;
  }

  /** Decodes exactly `count` tokens, whatever they are; the time of the first (with the prompt) and of all, ms. */
  greedyTimed(
    prompt: Int32Array,
    count: number,
  ): [firstMs: number, allMs: number] {
    this.#native.removeSequence(this.#context, 0, -1, -1);
    const size = this.#native.vocabSize(this.#vocab);
    const startedMs = performance.now();
    let firstMs = 0;
    let next = prompt;
    for (let position = 0, i = 0; i < count; i++) {
      this.#decode(next, position);
      position += next.length;
      next = Int32Array.of(
        argmax(this.#native.logits(this.#context, -1, size)),
      );
      if (i === 0) firstMs = performance.now() - startedMs;
    }
    return [firstMs, performance.now() - startedMs];
  }

  /** Logits after `prompt` and after each of the tokens that follow one by one, (1 + following, n_vocab). */
  logitsOf(prompt: Int32Array, following: Int32Array): Float32Array[] {
    this.#native.removeSequence(this.#context, 0, -1, -1);
    const size = this.#native.vocabSize(this.#vocab);
    this.#decode(prompt, 0);
    const rows = [this.#native.logits(this.#context, -1, size).slice()];
    for (let i = 0; i < following.length; i++) {
      this.#decode(following.subarray(i, i + 1), prompt.length + i);
      rows.push(this.#native.logits(this.#context, -1, size).slice());
    }
    return rows;
  }

  /** Of a prompt, pooled and not normalized: (n_embd). */
  embedding(prompt: Int32Array): Float32Array {
    this.#native.removeSequence(this.#context, 0, -1, -1);
    this.#decode(prompt, 0);
    const { directory, llama } = findLibraries();
    const pooled = koffi
      .load(join(directory, llama))
      .func("void* llama_get_embeddings_seq(void* ctx, int32 seq)")(
      this.#context,
      0,
    ) as Pointer | null;
    if (pooled === null) throw new Error("llama.cpp pooled nothing");
    const length = this.#native.embeddingLength(this.#model);
    return new Float32Array(koffi.view(pooled, 4 * length)).slice();
  }

  /** As text, control tokens left out. */
  text(tokens: readonly number[]): string {
    const piece = new Uint8Array(256);
    const parts = tokens.map((token) => {
      const length = this.#native.tokenToPiece(
        this.#vocab,
        token,
        piece,
        false,
      );
      return piece.slice(0, Math.max(0, length));
    });
    return Buffer.concat(parts).toString();
  }

  /** In batches of 2,048, llama.cpp's default and the most it takes at once. */
  #decode(tokens: Int32Array, position: number): void {
    for (let at = 0; at < tokens.length; at += BATCH_TOKENS)
      this.#decodeBatch(tokens.subarray(at, at + BATCH_TOKENS), position + at);
  }

  #decodeBatch(tokens: Int32Array, position: number): void {
    const n = tokens.length;
    const sequence = Int32Array.of(0);
    const status = this.#native.decode(this.#context, {
      n_tokens: n,
      token: tokens,
      embd: null,
      pos: Int32Array.from({ length: n }, (_, i) => position + i),
      n_seq_id: new Int32Array(n).fill(1),
      seq_id: new BigUint64Array(n).fill(this.#native.addressOf(sequence)),
      logits: Int8Array.from({ length: n }, (_, i) => (i === n - 1 ? 1 : 0)),
    });
    if (status !== 0) throw new Error(`llama_decode returned ${status}`);
    sequence.fill(0); // alive until here
  }

  [Symbol.dispose](): void {
    this.#native.freeContext(this.#context);
    this.#native.freeModel(this.#model);
  }
}

/** `n_batch`. */
const BATCH_TOKENS = 2048;

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) {
    if (logits[i]! > logits[best]!) best = i;
  }
  return best;
}
