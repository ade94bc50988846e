/**
 * Regular languages: read from regular expressions, combined (both, not), and turned into the smallest automaton.
 *
 *     const algebra = new Algebra({ left: 10_000 });
 *     const both = algebra.and(matchesWithin(algebra, "^[a-z]+$"), algebra.not(algebra.text("none")));
 *     const first = automaton(algebra, both, ALL_CHARS);
 */
export { Algebra, TooLarge, type Budget, type Expression } from "./algebra.ts";
export {
  automaton,
  automatonOf,
  lengths,
  reads,
  type State,
} from "./automaton.ts";
export { ALL_CHARS, charsOf, intersection, type CharSet } from "./char-set.ts";
export { matchesWhole, matchesWithin } from "./language.ts";
export { RegexError } from "./parser.ts";
export { addAutomaton, type WriteSet } from "./rules.ts";
