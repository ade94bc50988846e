/** A grammar as tables, and how large they may be. */
import type { CharacterSet } from "./character-set.ts";

/** Symbols and alternatives with repetitions written out: 2 MiB of tables. */
export const MAX_NODES = 1 << 17;

/** What stands at a place of a rule. */
export const NodeKind = {
  /** The end of an alternative. */
  End: 0,
  /** One character of a set. */
  Character: 1,
  /** Another rule. */
  Rule: 2,
  /** This token as a whole; or any but this. */
  Token: 3,
  OtherToken: 4,
} as const;

export interface Gbnf {
  /** By place; what follows a place is at the next one. */
  readonly kinds: readonly number[];
  /** By place: the number of the set or rule, or the token. */
  readonly values: readonly number[];
  readonly sets: readonly CharacterSet[];
  /** Of each rule: the places where its alternatives begin. */
  readonly rules: readonly (readonly number[])[];
  readonly root: number;
}
