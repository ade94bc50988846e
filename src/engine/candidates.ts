/**
 * The tokens that a sampler may still draw, in llama.cpp's form (include/llama.h at v0.5.0), where something is to be done before or after the
 * samplers of a chain:
 *
 *     struct llama_token_data { int32 id; float logit; float p; }
 *     struct llama_token_data_array { llama_token_data * data; size_t size; int64 selected; bool sorted; }
 */
import { loadNative } from "./native.ts";
import type { Pointer } from "./native-types.ts";

const FIELDS = 3;

export class Candidates {
  readonly #ids: Int32Array;
  readonly #floats: Float32Array;
  readonly #address: bigint;
  readonly #array = Buffer.alloc(32);

  constructor(vocabSize: number) {
    const memory = new ArrayBuffer(4 * FIELDS * vocabSize);
    this.#ids = new Int32Array(memory);
    this.#floats = new Float32Array(memory);
    this.#address = loadNative().addressOf(this.#ids);
  }

  /** All tokens, or those with their bit in `allowed`; how many. */
  fill(logits: Float32Array, allowed?: Uint8Array): number {
    let at = 0;
    for (let token = 0; token < logits.length; token++) {
      if (
        allowed !== undefined &&
        (((allowed[token >> 3] ?? 0) >> (token & 7)) & 1) === 0
      )
        continue;
      this.#ids[at] = token;
      this.#floats[at + 1] = logits[token] ?? 0;
      this.#floats[at + 2] = 0;
      at += FIELDS;
    }
    this.#array.writeBigUInt64LE(this.#address, 0);
    this.#array.writeBigUInt64LE(BigInt(at / FIELDS), 8);
    this.#array.writeBigInt64LE(-1n, 16);
    this.#array[24] = 0;
    return at / FIELDS;
  }

  /** What the chain draws, with its probability among those that were left. At least one must be. */
  draw(chain: Pointer): { token: number; p: number } {
    loadNative().samplerApply(chain, this.#array);
    // A sampler may have moved the beginning of the data.
    const begin = Number(this.#array.readBigUInt64LE(0) - this.#address) / 4;
    const at = begin + FIELDS * Number(this.#array.readBigInt64LE(16));
    return { token: this.#ids[at] ?? 0, p: this.#floats[at + 2] ?? 0 };
  }

  /** What the chain left of them: tokens, and the probability that each had to be drawn, if the chain's last sampler computes it. */
  left(): { tokens: Int32Array; p: Float32Array } {
    const begin = Number(this.#array.readBigUInt64LE(0) - this.#address) / 4;
    const length = Number(this.#array.readBigUInt64LE(8));
    const tokens = new Int32Array(length);
    const p = new Float32Array(length);
    for (let i = 0, at = begin; i < length; i++, at += FIELDS) {
      tokens[i] = this.#ids[at] ?? 0;
      p[i] = this.#floats[at + 2] ?? 0;
    }
    return { tokens, p };
  }
}
