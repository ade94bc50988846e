/** The rows of a shared decode in the order that llama.cpp wants: it takes rows of neighbouring sequences together only if they follow each other. */
import { ShoalError } from "../lib/index.ts";

export class SharedOrder {
  /** The given row that stands at each place of the batch, and the place of each given row. */
  readonly order: number[] = [];
  readonly #places: number[] = [];
  #ordered = new Float32Array();

  /** Where a given row stands; without a shared decode where it was. */
  placeOf(index: number): number {
    return this.#places[index] ?? index;
  }

  /** The next decode is of one session. */
  clear(): void {
    this.#places.length = 0;
  }

  sort(rows: readonly { sequence: number }[]): void {
    const { order } = this;
    const sequenceOf = (index: number | undefined): number =>
      rows[index ?? 0]?.sequence ?? -1;
    order.length = rows.length;
    for (let i = 0; i < rows.length; i++) order[i] = i;
    if (rows.some(({ sequence }, i) => i > 0 && sequence <= sequenceOf(i - 1)))
      order.sort((a, b) => sequenceOf(a) - sequenceOf(b));
    for (const [place, index] of order.entries()) {
      this.#places[index] = place;
      if (place > 0 && sequenceOf(index) === sequenceOf(order[place - 1]))
        throw new ShoalError(
          "ENGINE_FAILED",
          `a shared decode has two rows of sequence ${sequenceOf(index)}`,
        );
    }
    this.#places.length = rows.length;
  }

  /** (rows, width), as the rows were given; a view that the next call overwrites. */
  inGivenOrder(out: Float32Array, width: number): Float32Array {
    if (this.#places.every((place, index) => place === index)) return out;
    if (this.#ordered.length < out.length)
      this.#ordered = new Float32Array(out.length);
    for (const [index, place] of this.#places.entries())
      this.#ordered.set(
        out.subarray(place * width, (place + 1) * width),
        index * width,
      );
    return this.#ordered.subarray(0, out.length);
  }
}
