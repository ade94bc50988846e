/**
 * What a grammar lets a model write next, token by token. A token may end within a character, and the texts of control tokens count like any
 * other, as in llama.cpp's grammars.
 */
import { isUtf8 } from "node:buffer";
import { ShoalError } from "../../lib/index.ts";
import type { Gbnf } from "./gbnf-tables.ts";
import { DEAD, Matcher } from "./matcher.ts";
import type { Pieces } from "./pieces.ts";

/** A place in the grammar, and the bits of a character that has begun. */
interface Place {
  state: number;
  /** Bytes that the character still needs. */
  missing: number;
  bits: number;
  /** The least that it may be, so that no character is written longer than need be. */
  least: number;
}

const LAST = 0x10ffff;
/** Code points that are no characters. */
const SURROGATES = 0xd800;

/** States whose tokens are remembered: 16 KiB each, of a vocabulary of 128,000. */
const MAX_KNOWN = 64;

export class Constraint {
  readonly #pieces: Pieces;
  readonly #matcher: Matcher;
  #place: Place;
  #known = new Map<number, Uint8Array>();

  constructor(grammar: Gbnf, pieces: Pieces) {
    this.#pieces = pieces;
    this.#matcher = new Matcher(grammar);
    const state = this.#matcher.begin();
    this.#place = { state, missing: 0, bits: 0, least: 0 };
  }

  /** Throws GRAMMAR_INVALID if the grammar takes too much work. */
  allows(token: number): boolean {
    this.#matcher.beginToken();
    if (this.#pieces.endTokens.has(token)) return this.#mayEnd();
    return this.#after(token, this.#pieces.of(token)) !== undefined;
  }

  /** Of each token whether it may come next; a bit each. Throws GRAMMAR_INVALID if the grammar takes too much work. */
  allowed(): Uint8Array {
    const { state, missing } = this.#place;
    const known = missing === 0 ? this.#known.get(state) : undefined;
    if (known !== undefined) return known;
    this.#matcher.beginToken();
    const bits = new Uint8Array((this.#pieces.size + 7) >> 3);
    const allow = (token: number): void => {
      bits[token >> 3] = (bits[token >> 3] ?? 0) | (1 << (token & 7));
    };
    if (this.#mayEnd()) this.#pieces.endTokens.forEach(allow);
    this.#eachByText(allow);
    if (missing === 0) this.#eachWhole(state, allow);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    if (missing === 0) this.#known.set(state, bits);
    return bits;
  }

  /** Throws GRAMMAR_STUCK if it may not come here. `bytes`: of its text those that count. */
  accept(token: number, bytes: Uint8Array = this.#pieces.of(token)): void {
    this.#matcher.beginToken();
    if (this.#pieces.endTokens.has(token)) return;
    const place = this.#after(token, bytes);
    if (place === undefined)
      throw new ShoalError(
        "GRAMMAR_STUCK",
        "what the model wrote is not of the grammar",
      );
    const kept = this.#matcher.keep(place.state);
    if (kept !== place.state) this.#known.clear();
    this.#place = { ...place, state: kept };
    this.#matcher.earn();
  }

  #eachWhole(state: number, allow: (token: number) => void): void {
    const { named, butFor } = this.#matcher.wholeTokens(state);
    if (named.size === 0 && butFor === undefined) return;
    for (const token of this.#pieces.order)
      if (named.has(token) || (butFor !== undefined && token !== butFor))
        if (isText(this.#pieces.of(token))) allow(token);
  }

  #mayEnd(): boolean {
    const { state, missing } = this.#place;
    return missing === 0 && this.#matcher.isComplete(state);
  }

  #after(token: number, bytes: Uint8Array): Place | undefined {
    const whole =
      this.#place.missing === 0 && isText(bytes)
        ? this.#matcher.nextToken(this.#place.state, token)
        : DEAD;
    let place: Place | undefined = this.#place;
    for (let i = 0; i < bytes.length && place !== undefined; i++)
      place = this.#step(place, bytes[i] ?? 0);
    if (bytes.length === 0 || !this.#isOpen(place)) place = undefined;
    if (whole === DEAD) return place;
    // A character that has begun goes on only where it began.
    if (place !== undefined && place.missing > 0) return place;
    const state = this.#matcher.union(whole, place?.state ?? DEAD);
    return { state, missing: 0, bits: 0, least: 0 };
  }

  /** Goes through all texts in their order; what one begins with like the one before is not looked at again. */
  #eachByText(allow: (token: number) => void): void {
    const { order, shared } = this.#pieces;
    const places: (Place | undefined)[] = [this.#place];
    /** So many bytes of the last text that was looked at cannot be written. */
    let refused = Infinity;
    for (let i = 0; i < order.length; i++) {
      const common = shared[i] ?? 0;
      if (common >= refused) continue;
      const token = order[i] ?? 0;
      const bytes = this.#pieces.of(token);
      refused = Infinity;
      for (let at = common; at < bytes.length; at++) {
        const place = places[at];
        const next = place && this.#step(place, bytes[at] ?? 0);
        places[at + 1] = next;
        if (next !== undefined) continue;
        refused = at + 1;
        break;
      }
      if (refused === Infinity && this.#isOpen(places[bytes.length]))
        allow(token);
    }
  }

  /** One more byte. */
  #step(place: Place, byte: number): Place | undefined {
    const { missing } = place;
    if (missing === 0) {
      if (byte < 0x80) {
        const state = byte === 0 ? DEAD : this.#matcher.next(place.state, byte);
        return state === DEAD ? undefined : { ...place, state };
      }
      const length = byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
      if (length === 0 || byte > 0xf4) return undefined;
      const least = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000;
      const bits = byte & (0x7f >> length);
      return { state: place.state, missing: length - 1, bits, least };
    }
    if (byte >> 6 !== 2) return undefined;
    const bits = (place.bits << 6) | (byte & 0x3f);
    if (missing > 1) return { ...place, missing: missing - 1, bits };
    if (bits < place.least || bits > LAST || isSurrogate(bits))
      return undefined;
    const state = this.#matcher.next(place.state, bits);
    return state === DEAD
      ? undefined
      : { state, missing: 0, bits: 0, least: 0 };
  }

  /** Whether the character that has begun can become one that may come. */
  #isOpen(place: Place | undefined): boolean {
    if (place === undefined || place.missing === 0) return place !== undefined;
    const { state, missing, bits, least } = place;
    const first = Math.max(least, bits << (6 * missing));
    let last = Math.min(LAST, ((bits + 1) << (6 * missing)) - 1);
    if (isSurrogate(last)) last = SURROGATES - 1;
    return first <= last && this.#matcher.meets(state, first, last);
  }
}

/** Whether a token may count as a whole. */
function isText(bytes: Uint8Array): boolean {
  return bytes.length > 0 && bytes[0] !== 0 && isUtf8(bytes);
}

function isSurrogate(code: number): boolean {
  return code >= SURROGATES && code < 0xe000;
}
