/**
 * llama.cpp by itself: a whole file, one context with the library's default parameters, greedy. Tests compare Shoal's text with it. It
 * shares only the libraries and their bindings with the engine.
 */
import { loadNative } from "../../src/engine/native.ts";
import type { Pointer } from "../../src/engine/native-types.ts";

export class Llama implements Disposable {
  #native = loadNative();
  #model: Pointer;
  #context: Pointer;
  #vocab: Pointer;

  constructor(
    path: string,
    contextLength = 512,
    devices: BigUint64Array | null = null,
  ) {
    const native = this.#native;
    const modelParams = { ...native.modelDefaultParams(), devices };
    this.#model = native.loadModel(path, modelParams)!;
    const params = native.contextDefaultParams();
    params.n_ctx = contextLength;
    params.n_threads = 1;
    params.n_threads_batch = 1;
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
  greedy(prompt: Int32Array, maxTokens: number, banned = -1): number[] {
    this.#native.removeSequence(this.#context, 0, -1, -1);
    const size = this.#native.vocabSize(this.#vocab);
    const out: number[] = [];
    let next = prompt;
    for (let position = 0; out.length < maxTokens; position += next.length) {
      if (out.length > 0) next = Int32Array.of(out.at(-1)!);
      this.#decode(next, position);
      const logits = this.#native.logits(this.#context, -1, size);
      if (banned >= 0) logits[banned] = -Infinity;
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

  #decode(tokens: Int32Array, position: number): void {
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

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) {
    if (logits[i]! > logits[best]!) best = i;
  }
  return best;
}
