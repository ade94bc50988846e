/** A vocabulary-only load of llama.cpp: the tokenizer, in the engine's child process (child.ts). */
import { ShoalError } from "../lib/index.ts";
import { loadNative } from "./native.ts";
import type { Native, Pointer } from "./native-types.ts";

/** The tokens of a vocabulary that were trained to fill gaps in code, where it has them. */
export interface InfillTokens {
  prefix?: number | undefined;
  suffix?: number | undefined;
  middle?: number | undefined;
  pad?: number | undefined;
  /** Before a repository's name, and between its files. */
  repository?: number | undefined;
  file?: number | undefined;
}

/** What the parent needs to turn tokens into text by itself. */
export interface VocabularyInfo {
  size: number;
  bos: number;
  eos: number;
  addsBos: boolean;
  /** Tokens that end a generation. */
  endTokens: number[];
  /** Text of the BOS and EOS tokens, as chat templates write them. */
  bosText: string;
  eosText: string;
  /** base64 of all pieces one after the other; `pieceLengths[i]` bytes each. Control tokens are empty. */
  pieces: string;
  pieceLengths: number[];
  /** Of the tokens with an empty piece, those that have a text all the same, in base64: "<|im_end|>". */
  specialPieces: [token: number, text: string][];
  infill: InfillTokens;
}

/** LLAMA_VOCAB_TYPE_NONE in include/llama.h. */
const NO_VOCABULARY = 0;

export class Vocabulary {
  #native: Native;
  #vocab: Pointer;
  #piece = new Uint8Array(256);

  constructor(path: string) {
    const native = loadNative();
    this.#native = native;
    const params = native.modelDefaultParams();
    params.vocab_only = true;
    const model = native.loadModel(path, params);
    this.#vocab = native.vocab(model);
    if (native.vocabType(this.#vocab) === NO_VOCABULARY) {
      throw new ShoalError("ENGINE_LOAD_FAILED", `${path} has no vocabulary`, {
        path,
      });
    }
  }

  describe(): VocabularyInfo {
    const native = this.#native;
    const size = native.vocabSize(this.#vocab);
    const pieces: Uint8Array[] = [];
    const endTokens: number[] = [];
    const specialPieces: [number, string][] = [];
    for (let token = 0; token < size; token++) {
      const piece = this.#pieceOf(token, false);
      pieces.push(piece);
      if (piece.length === 0) {
        const text = Buffer.from(this.#pieceOf(token, true));
        if (text.length > 0)
          specialPieces.push([token, text.toString("base64")]);
      }
      if (native.isEndOfGeneration(this.#vocab, token)) endTokens.push(token);
    }
    const [bos, eos] = [native.bos(this.#vocab), native.eos(this.#vocab)];
    return {
      size,
      bos,
      eos,
      addsBos: native.addsBos(this.#vocab),
      endTokens,
      bosText: bos < 0 ? "" : Buffer.from(this.#pieceOf(bos, true)).toString(),
      eosText: eos < 0 ? "" : Buffer.from(this.#pieceOf(eos, true)).toString(),
      pieces: Buffer.concat(pieces).toString("base64"),
      pieceLengths: pieces.map((piece) => piece.length),
      specialPieces,
      infill: native.infillTokens(this.#vocab),
    };
  }

  /** `flags`: 1 adds BOS/EOS as the model wants, 2 parses the text of special tokens. */
  tokenize(text: Uint8Array, flags: number): Int32Array {
    // A vocabulary of bytes writes a space as the three of U+2581.
    const tokens = new Int32Array(3 * text.length + 8);
    const count = this.#native.tokenize(
      this.#vocab,
      text,
      tokens,
      (flags & 1) !== 0,
      (flags & 2) !== 0,
    );
    if (count < 0)
      throw new ShoalError(
        "ENGINE_FAILED",
        `the tokenizer needs room for ${-count} tokens`,
      );
    return tokens.subarray(0, count);
  }

  #pieceOf(token: number, special: boolean): Uint8Array {
    let length = this.#native.tokenToPiece(
      this.#vocab,
      token,
      this.#piece,
      special,
    );
    if (length < 0) {
      this.#piece = new Uint8Array(-length);
      length = this.#native.tokenToPiece(
        this.#vocab,
        token,
        this.#piece,
        special,
      );
    }
    return this.#piece.slice(0, Math.max(0, length));
  }
}
