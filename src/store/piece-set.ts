/** Sets of pieces as bits, lowest first. */

export class PieceSet {
  /** ceil(size / 8) bytes; spare bits are 0. */
  readonly bits: Uint8Array;
  readonly size: number;
  #count = 0;

  /** A set of `size` pieces with those of `bits`, which are copied. */
  constructor(size: number, bits?: Uint8Array) {
    this.size = size;
    this.bits = new Uint8Array(Math.ceil(size / 8));
    if (bits !== undefined) {
      this.bits.set(bits.subarray(0, this.bits.length));
      this.#count = countBits(this.bits);
    }
  }

  static full(size: number): PieceSet {
    const set = new PieceSet(size);
    for (let i = 0; i < size; i++) set.add(i);
    return set;
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.size;
  }

  has(piece: number): boolean {
    return hasBit(this.bits, piece);
  }

  /** True if it is new. */
  add(piece: number): boolean {
    if (piece >= this.size || this.has(piece)) return false;
    this.bits[piece >> 3] = (this.bits[piece >> 3] ?? 0) | (1 << (piece & 7));
    this.#count++;
    return true;
  }

  /** True if it was there. */
  delete(piece: number): boolean {
    if (!this.has(piece)) return false;
    this.bits[piece >> 3] = (this.bits[piece >> 3] ?? 0) & ~(1 << (piece & 7));
    this.#count--;
    return true;
  }

  *[Symbol.iterator](): Generator<number> {
    for (const [at, byte] of this.bits.entries()) {
      for (let bit = 0; byte >> bit !== 0; bit++) {
        if (((byte >> bit) & 1) === 1) yield at * 8 + bit;
      }
    }
  }
}

export function hasBit(bits: Uint8Array, index: number): boolean {
  return (((bits[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
}

function countBits(bits: Uint8Array): number {
  let count = 0;
  for (let byte of bits) for (; byte !== 0; byte &= byte - 1) count++;
  return count;
}

/** Whether `bits` has a bit that `others` has not. */
export function exceeds(bits: Uint8Array, others: Uint8Array): boolean {
  return bits.some((byte, at) => (byte & ~(others[at] ?? 0)) !== 0);
}
