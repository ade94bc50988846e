/**
 * Which piece to request next: of a source's pieces, the one that the fewest sources have. So the last source of a rare piece may leave,
 * and downloaders of one content get different pieces and feed each other. Ties are broken at random, so that downloaders that start
 * together do not request the same piece from the seeder. A piece that another source expects counts as if that source had it. Pure.
 */
import type { PieceSet } from "../store/index.ts";

export class PiecePicker {
  /** Missing and not requested, in random order. */
  readonly #open: number[] = [];
  /** Position of each piece in `#open`; -1 if it is not there. */
  readonly #place: Int32Array;
  readonly #rarity: Uint16Array;
  /** How many of `#open` have which rarity. */
  readonly #counts: number[] = [];

  constructor(
    have: Pick<PieceSet, "size" | "has">,
    random: () => number = Math.random,
  ) {
    this.#place = new Int32Array(have.size).fill(-1);
    this.#rarity = new Uint16Array(have.size);
    for (let piece = 0; piece < have.size; piece++) {
      if (!have.has(piece)) this.#open.push(piece);
    }
    for (let i = this.#open.length - 1; i > 0; i--) {
      const other = Math.floor(random() * (i + 1));
      const piece = this.#open[i] ?? 0;
      this.#open[i] = this.#open[other] ?? 0;
      this.#open[other] = piece;
    }
    this.#open.forEach((piece, i) => {
      this.#place[piece] = i;
      this.#count(piece, 1);
    });
  }

  /** Pieces that are missing and not requested. */
  get openCount(): number {
    return this.#open.length;
  }

  /** One source more (1) or less (-1) has or expects the piece. */
  change(piece: number, by: 1 | -1): void {
    const isOpen = (this.#place[piece] ?? -1) >= 0;
    if (isOpen) this.#count(piece, -1);
    this.#rarity[piece] = Math.max(0, (this.#rarity[piece] ?? 0) + by);
    if (isOpen) this.#count(piece, 1);
  }

  /** Takes an open piece. Undefined if this source has none. */
  take(has: (piece: number) => boolean): number | undefined {
    const rarest = this.#rarest();
    let best: number | undefined;
    let bestRarity = Infinity;
    for (const piece of this.#open) {
      const rarity = this.#rarity[piece] ?? 0;
      if (rarity >= bestRarity || !has(piece)) continue;
      best = piece;
      bestRarity = rarity;
      if (rarity <= rarest) break;
    }
    if (best !== undefined) this.#remove(best);
    return best;
  }

  /** The piece is missing again. */
  putBack(piece: number): void {
    if ((this.#place[piece] ?? 0) >= 0) return;
    this.#place[piece] = this.#open.length;
    this.#open.push(piece);
    this.#count(piece, 1);
  }

  /** The piece arrived without having been taken. */
  remove(piece: number): void {
    if ((this.#place[piece] ?? -1) >= 0) this.#remove(piece);
  }

  /** No available piece is rarer. */
  #rarest(): number {
    const found = this.#counts.findIndex((count, i) => i > 0 && count > 0);
    return found === -1 ? 0 : found;
  }

  #remove(piece: number): void {
    this.#count(piece, -1);
    const at = this.#place[piece] ?? 0;
    const last = this.#open.pop();
    if (last !== undefined && last !== piece) {
      this.#open[at] = last;
      this.#place[last] = at;
    }
    this.#place[piece] = -1;
  }

  #count(piece: number, by: 1 | -1): void {
    const rarity = this.#rarity[piece] ?? 0;
    while (this.#counts.length <= rarity) this.#counts.push(0);
    this.#counts[rarity] = (this.#counts[rarity] ?? 0) + by;
  }
}
