/** The texts of a vocabulary's tokens in the order of their bytes, so that what many of them begin with is looked at once. */
import { loadNative } from "../native.ts";
import type { Pointer } from "../native-types.ts";

/** Longer texts of tokens are cut: no grammar can have them be written. */
const MAX_PIECE_BYTES = 1024;

export class Pieces {
  readonly size: number;
  readonly #bytes: Uint8Array;
  /** Of token i: `#starts[i]…#starts[i + 1]`. */
  readonly #starts: Uint32Array;
  /** Tokens with a text, sorted by it. */
  readonly order: Int32Array;
  /** How many bytes each of them has in common with the one before. */
  readonly shared: Uint16Array;
  readonly endTokens: ReadonlySet<number>;

  /** Control tokens have their texts, as in llama.cpp's grammars. */
  constructor(vocab: Pointer) {
    const native = loadNative();
    const size = native.vocabSize(vocab);
    this.size = size;
    const starts = new Uint32Array(size + 1);
    let bytes = new Uint8Array(8 * size + MAX_PIECE_BYTES);
    const buffer = new Uint8Array(MAX_PIECE_BYTES);
    const ends = new Set<number>();
    for (let token = 0, at = 0; token < size; token++) {
      if (native.isEndOfGeneration(vocab, token)) ends.add(token);
      const length = native.tokenToPiece(vocab, token, buffer, true);
      if (at + MAX_PIECE_BYTES > bytes.length) {
        const more = new Uint8Array(2 * bytes.length);
        more.set(bytes);
        bytes = more;
      }
      if (length > 0) {
        bytes.set(buffer.subarray(0, length), at);
        at += length;
      }
      starts[token + 1] = at;
    }
    [this.#bytes, this.#starts, this.endTokens] = [bytes, starts, ends];
    // A character for each byte: texts are compared faster than bytes.
    const texts = Array.from({ length: size }, (_, token) =>
      Buffer.from(this.of(token)).toString("latin1"),
    );
    const textOf = (token: number): string => texts[token] ?? "";
    this.order = Int32Array.from(texts.keys())
      .filter((token) => !ends.has(token) && textOf(token) !== "")
      .sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1));
    this.shared = new Uint16Array(this.order.length);
    for (let i = 1; i < this.order.length; i++)
      this.shared[i] = commonBytes(
        this.of(this.order[i - 1] ?? 0),
        this.of(this.order[i] ?? 0),
      );
  }

  /** A view. */
  of(token: number): Uint8Array {
    const start = this.#starts[token] ?? 0;
    return this.#bytes.subarray(start, this.#starts[token + 1] ?? start);
  }
}

function commonBytes(a: Uint8Array, b: Uint8Array): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}
