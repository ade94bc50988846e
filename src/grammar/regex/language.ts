/** From a regular expression's syntax to the language of its texts. */
import type { Algebra, Expression } from "./algebra.ts";
import { intersection, ALL_CHARS } from "./char-set.ts";
import { parseRegex, RegexError, type RegexNode } from "./parser.ts";

/** The texts that `source` matches as a whole. Throws a RegexError. */
export function matchesWhole(algebra: Algebra, source: string): Expression {
  return compile(algebra, parseRegex(source), algebra.empty, true);
}

/** The texts in which `source` matches somewhere, as `pattern` of a JSON schema does. Throws a RegexError. */
export function matchesWithin(algebra: Algebra, source: string): Expression {
  const node = parseRegex(source);
  const { all } = algebra;
  const some = algebra.repeat(algebra.chars(ALL_CHARS), 1, Infinity);
  return algebra.or(
    compile(algebra, node, all, true),
    algebra.sequence(some, compile(algebra, node, all, false)),
  );
}

/** The texts that `node` matches at the place, followed by a text of `rest`. `isStart`: nothing stands before the place. */
function compile(
  algebra: Algebra,
  node: RegexNode,
  rest: Expression,
  isStart: boolean,
): Expression {
  switch (node.kind) {
    case "chars":
      return algebra.sequence(
        algebra.chars(intersection(node.set, ALL_CHARS)),
        rest,
      );
    case "choice":
      return algebra.or(
        ...node.parts.map((part) => compile(algebra, part, rest, isStart)),
      );
    case "sequence":
      return inSequence(algebra, node.parts, rest, isStart);
    case "repeat": {
      if (looksAround(node.part))
        throw new RegexError(
          "an anchor or a look-ahead inside a repetition is not supported",
        );
      const part = compile(algebra, node.part, algebra.empty, false);
      return algebra.sequence(algebra.repeat(part, node.min, node.max), rest);
    }
    case "start":
      return isStart ? rest : algebra.none;
    case "end":
      return algebra.and(algebra.empty, rest);
    default: {
      const ahead = compile(algebra, node.part, algebra.all, isStart);
      return algebra.and(node.isNegated ? algebra.not(ahead) : ahead, rest);
    }
  }
}

function inSequence(
  algebra: Algebra,
  parts: readonly RegexNode[],
  rest: Expression,
  isStart: boolean,
): Expression {
  // Only what consumes nothing keeps the place at the start; "a*^" is nothing that anybody writes.
  const startsAt = parts.findIndex((part) => !consumesNothing(part));
  return parts.reduceRight(
    (following, part, index) =>
      compile(
        algebra,
        part,
        following,
        isStart && (startsAt < 0 || index <= startsAt),
      ),
    rest,
  );
}

function consumesNothing({ kind }: RegexNode): boolean {
  return kind === "start" || kind === "end" || kind === "ahead";
}

function looksAround(node: RegexNode): boolean {
  switch (node.kind) {
    case "chars":
      return false;
    case "sequence":
    case "choice":
      return node.parts.some(looksAround);
    case "repeat":
      return looksAround(node.part);
    default:
      return true;
  }
}
