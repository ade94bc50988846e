/** Piece hashes of a stream of bytes, for the hashing thread. */
import { hash } from "node:crypto";
import { Blocks } from "../lib/index.ts";
import {
  HASH_BYTES,
  LEAVES_PER_PIECE,
  pieceCount,
  reducePairs,
} from "./piece-tree.ts";

export class PieceHasher {
  #sizeBytes: number;
  #isOnly: boolean;
  #pieceHashes: Buffer;
  #pieces = 0;
  /** Leaves of the current piece, then the levels above them. */
  #nodes = Buffer.alloc(LEAVES_PER_PIECE * HASH_BYTES);
  #leaves = 0;
  readonly #blocks = new Blocks((block) => this.#leaf(block));
  #total = 0;

  /** `isOnly`: the bytes are a whole content of one piece, whose tree has no more leaves than it needs. */
  constructor(sizeBytes: number, { isOnly }: { isOnly: boolean }) {
    this.#sizeBytes = sizeBytes;
    this.#isOnly = isOnly;
    this.#pieceHashes = Buffer.alloc(pieceCount(sizeBytes) * HASH_BYTES);
  }

  update(data: Uint8Array): void {
    this.#total += data.length;
    this.#blocks.update(data);
  }

  /** The piece hashes. Throws if the number of bytes is wrong. */
  finish(): Uint8Array {
    if (this.#total !== this.#sizeBytes) {
      throw new RangeError(
        `got ${this.#total} bytes, expected ${this.#sizeBytes}`,
      );
    }
    this.#blocks.end();
    if (this.#leaves > 0) this.#piece();
    return this.#pieceHashes;
  }

  #leaf(block: Uint8Array): void {
    // A string is faster to make than a Buffer: it saves a tenth of the total time at 64 leaves and 63 pairs per MiB.
    const digest = hash("sha256", block, "binary");
    this.#nodes.write(digest, this.#leaves * HASH_BYTES, "latin1");
    if (++this.#leaves === LEAVES_PER_PIECE) this.#piece();
  }

  #piece(): void {
    let width = LEAVES_PER_PIECE;
    if (this.#isOnly) {
      width = 1;
      while (width < this.#leaves) width *= 2;
    }
    this.#nodes.fill(0, this.#leaves * HASH_BYTES);
    const root = reducePairs(this.#nodes, width);
    this.#pieceHashes.set(root, this.#pieces * HASH_BYTES);
    this.#pieces++;
    this.#leaves = 0;
  }
}
