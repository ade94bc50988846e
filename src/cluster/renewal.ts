/**
 * Renewals of a record that is still true: a few bytes that only its peer can tell. A record names the end of a chain of hashes; each renewal
 * reveals the value before (Lamport 1981, as S/KEY does). Whoever has the record checks it with one hash for each step that it missed, and
 * cannot make the next.
 *
 *     seed ──► value 180 ──► … ──► value 2 ──► value 1 ──► value 0, in the signed record
 *                                  second      first renewal
 */
import { hash, randomBytes } from "node:crypto";
import { VALUE_BYTES } from "./announcement.ts";
import { ID_BYTES } from "./records.ts";

export const RENEWAL = Object.freeze({
  /** An hour of renewals; then the record is sealed anew. More would make a hostile value dearer to refuse. */
  steps: 180,
  /** Of SHA-256: nobody finds a value that hashes to another. */
  valueBytes: VALUE_BYTES,
});

const DOMAIN = Buffer.from("shoal renewal\0");

/** How far a record was renewed; step 0 is the record itself. */
export interface Renewed {
  step: number;
  value: Uint8Array;
}

/** The secret values of one record, in memory only: a process that was started again seals a new record. */
export class RenewalChain {
  /** What the record names. */
  readonly anchor: Uint8Array;
  readonly #values: Uint8Array[] = [];

  /** `id` is the record's holder. */
  constructor(
    id: string,
    seed: Uint8Array = randomBytes(RENEWAL.valueBytes),
    steps: number = RENEWAL.steps,
  ) {
    const next = hasher(id);
    let value = seed;
    for (let i = 0; i <= steps; i++) this.#values.push((value = next(value)));
    this.anchor = value;
    this.#values.reverse();
  }

  /** Undefined beyond the last step. */
  at(step: number): Renewed | undefined {
    const value = this.#values[step];
    return value === undefined ? undefined : { step, value };
  }
}

/** Whether the peer that told `known` of this holder also told `next`. Costs one hash for each step between them. */
export function proves(id: string, known: Renewed, next: Renewed): boolean {
  if (next.step <= known.step || next.step > RENEWAL.steps) return false;
  if (next.value.length !== RENEWAL.valueBytes) return false;
  const hashed = hasher(id);
  let { value } = next;
  for (let i = known.step; i < next.step; i++) value = hashed(value);
  return Buffer.compare(value, known.value) === 0;
}

/** Of each holder its own, so that no value fits into another's chain. */
function hasher(id: string): (value: Uint8Array) => Uint8Array {
  const head = DOMAIN.length + ID_BYTES;
  const input = Buffer.alloc(head + RENEWAL.valueBytes);
  DOMAIN.copy(input);
  input.write(id, DOMAIN.length, ID_BYTES, "base64url");
  return (value) => {
    input.set(value, head);
    return hash("sha256", input, "buffer").subarray(0, RENEWAL.valueBytes);
  };
}
