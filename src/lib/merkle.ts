/**
 * Content ids: the root of a SHA-256 Merkle tree over 16 KiB blocks, as BitTorrent v2 defines it for a file
 * (https://www.bittorrent.org/beps/bep_0052.html). Leaves past the end of the data are 32 zero bytes, the number of leaves
 * is the next power of two. Same bytes, same root, whatever the file is called.
 */
import { hash } from "node:crypto";

/** Bytes hashed into one leaf. */
export const BLOCK_SIZE_BYTES = 16 * 1024;

const ZERO = new Uint8Array(32);

/** Cuts a stream of bytes into blocks. Blocks that arrive whole are not copied. */
export class Blocks {
  readonly #onBlock: (block: Uint8Array) => void;
  readonly #partial = new Uint8Array(BLOCK_SIZE_BYTES);
  #filled = 0;

  constructor(onBlock: (block: Uint8Array) => void) {
    this.#onBlock = onBlock;
  }

  update(data: Uint8Array): void {
    let at = 0;
    if (this.#filled > 0) {
      at = Math.min(data.length, BLOCK_SIZE_BYTES - this.#filled);
      this.#partial.set(data.subarray(0, at), this.#filled);
      this.#filled += at;
      if (this.#filled < BLOCK_SIZE_BYTES) return;
      this.#onBlock(this.#partial);
      this.#filled = 0;
    }
    for (; at + BLOCK_SIZE_BYTES <= data.length; at += BLOCK_SIZE_BYTES)
      this.#onBlock(data.subarray(at, at + BLOCK_SIZE_BYTES));
    this.#partial.set(data.subarray(at));
    this.#filled = data.length - at;
  }

  /** The stream has ended: the last block may be short. */
  end(): void {
    if (this.#filled > 0)
      this.#onBlock(this.#partial.subarray(0, this.#filled));
    this.#filled = 0;
  }
}

/** Builds a root from a stream of bytes. It keeps one hash per level of the tree, so any size needs a few hundred bytes. */
export class MerkleHasher {
  readonly #blocks = new Blocks((block) => this.#leaf(block));
  #leaves = 0;
  /** #levels[h]: the root of a finished left subtree of 2^h leaves that waits for its right sibling. */
  #levels: (Uint8Array | undefined)[] = [];

  update(data: Uint8Array): void {
    this.#blocks.update(data);
  }

  /** The root (32 bytes). The hasher is used up. Empty content has 32 zero bytes as its root. */
  digest(): Uint8Array {
    this.#blocks.end();
    if (this.#leaves === 0) return ZERO;
    let pad: Uint8Array = ZERO;
    let root: Uint8Array | undefined;
    for (const [height, left] of this.#levels.entries()) {
      const isTop = height === this.#levels.length - 1;
      if (left !== undefined) {
        if (root === undefined && isTop) return left;
        root = pair(left, root ?? pad);
      } else if (root !== undefined) {
        root = pair(root, pad);
      }
      pad = pair(pad, pad);
    }
    return root ?? ZERO;
  }

  #leaf(block: Uint8Array): void {
    this.#leaves++;
    let node: Uint8Array = sha256(block);
    let height = 0;
    for (; this.#levels[height] !== undefined; height++) {
      node = pair(this.#levels[height] ?? ZERO, node);
      this.#levels[height] = undefined;
    }
    this.#levels[height] = node;
  }
}

/** The root of `data`, 32 bytes. */
export function merkleRoot(data: Uint8Array): Uint8Array {
  const hasher = new MerkleHasher();
  hasher.update(data);
  return hasher.digest();
}

function sha256(data: Uint8Array): Uint8Array {
  return hash("sha256", data, "buffer");
}

function pair(left: Uint8Array, right: Uint8Array): Uint8Array {
  const both = new Uint8Array(64);
  both.set(left, 0);
  both.set(right, 32);
  return sha256(both);
}
