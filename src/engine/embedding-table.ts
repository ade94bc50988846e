import { closeSync, openSync, readSync } from "node:fs";
import { ShoalError } from "../lib/index.ts";
import type { Native, TypeTraits } from "./native-types.ts";

/** Reads rows of the embedding table behind the shard's tensors, with the arithmetic of ggml_get_rows. */
export class EmbeddingTable {
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
