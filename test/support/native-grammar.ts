/** llama.cpp's own grammar sampler, called directly: what ours is compared with. */
import { join } from "node:path";
import koffi from "koffi";
import { findLibraries } from "../../src/engine/libraries.ts";
import { loadNative } from "../../src/engine/native.ts";
import type { Pointer } from "../../src/engine/native-types.ts";

export class NativeGrammar implements Disposable {
  readonly #native = loadNative();
  readonly #sampler: Pointer;
  readonly #vocabSize: number;

  /** Throws if llama.cpp refuses it. */
  constructor(vocab: Pointer, gbnf: string, patterns?: readonly string[]) {
    const { directory, llama } = findLibraries();
    const library = koffi.load(join(directory, llama));
    const sampler =
      patterns === undefined
        ? library.func(
            "void* llama_sampler_init_grammar(void* vocab, const char* gbnf, const char* root)",
          )(vocab, gbnf, "root")
        : library.func(
            "void* llama_sampler_init_grammar_lazy_patterns(void* vocab, const char* gbnf, const char* root, const char** patterns, size_t n, void* tokens, size_t m)",
          )(vocab, gbnf, "root", patterns, patterns.length, null, 0);
    if (sampler === null) throw new Error("llama.cpp refuses the grammar");
    this.#sampler = sampler as Pointer;
    this.#vocabSize = this.#native.vocabSize(vocab);
  }

  /** What it leaves of these logits, by token; what it refuses is -Infinity. */
  apply(logits: Float32Array): Float32Array {
    const data = new ArrayBuffer(12 * this.#vocabSize);
    const [ids, floats] = [new Int32Array(data), new Float32Array(data)];
    for (let token = 0; token < this.#vocabSize; token++) {
      ids[3 * token] = token;
      floats[3 * token + 1] = logits[token] ?? 0;
    }
    const array = Buffer.alloc(32);
    array.writeBigUInt64LE(this.#native.addressOf(ids), 0);
    array.writeBigUInt64LE(BigInt(this.#vocabSize), 8);
    array.writeBigInt64LE(-1n, 16);
    this.#native.samplerApply(this.#sampler, array);
    return logits.map((_, token) => floats[3 * token + 1] ?? 0);
  }

  /** Ends the process if the token may not come. */
  accept(token: number): void {
    this.#native.samplerAccept(this.#sampler, token);
  }

  [Symbol.dispose](): void {
    this.#native.freeSampler(this.#sampler);
  }
}
