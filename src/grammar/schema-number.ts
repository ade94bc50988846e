import type { GrammarBuilder } from "./builder.ts";
import { decimalsBetween, type Bound } from "./decimals.ts";
import { charClass, literal } from "./gbnf.ts";
import { integersBetween } from "./ranges.ts";
import {
  addAutomaton,
  Algebra,
  automaton,
  charsOf,
  matchesWhole,
  TooLarge,
} from "./regex/index.ts";
import type { Place } from "./schema-compiler.ts";
import { unsupported } from "./schema-errors.ts";
import type { Keywords } from "./schema-keywords.ts";

export function numberRule(
  type: "number" | "integer",
  keywords: Keywords,
  place: Place,
  builder: GrammarBuilder,
): string | undefined {
  const low = stricter(
    keywords.minimum,
    keywords.exclusiveMinimum,
    (a, b) => a > b,
  );
  const high = stricter(
    keywords.maximum,
    keywords.exclusiveMaximum,
    (a, b) => a < b,
  );
  if (low === undefined && high === undefined) return builder.addJson(type);
  return type === "integer"
    ? integerRule(low, high, place, builder)
    : decimalRule(low, high, keywords.path, place, builder);
}

/** The bound that forbids more. */
function stricter(
  including: number | undefined,
  excluding: number | undefined,
  isStricter: (a: number, b: number) => boolean,
): Bound | undefined {
  if (
    including !== undefined &&
    (excluding === undefined || isStricter(including, excluding))
  )
    return { value: including, isExcluded: false };
  return excluding === undefined
    ? undefined
    : { value: excluding, isExcluded: true };
}

function integerRule(
  low: Bound | undefined,
  high: Bound | undefined,
  place: Place,
  builder: GrammarBuilder,
): string | undefined {
  const range = integersBetween(
    low &&
      (low.isExcluded
        ? BigInt(Math.floor(low.value)) + 1n
        : BigInt(Math.ceil(low.value))),
    high &&
      (high.isExcluded
        ? BigInt(Math.ceil(high.value)) - 1n
        : BigInt(Math.floor(high.value))),
  );
  if (range === undefined) return undefined;
  builder.addJson("space");
  return builder.addRule(place.name, `${range} space`);
}

function decimalRule(
  low: Bound | undefined,
  high: Bound | undefined,
  path: string,
  place: Place,
  builder: GrammarBuilder,
): string | undefined {
  const texts = decimalsBetween({ low, high });
  if (texts === undefined)
    throw unsupported(path, "a bound between -0.000001 and 0.000001");
  const algebra = new Algebra(builder.budget);
  const all = (regexes: readonly string[]) =>
    algebra.and(...regexes.map((regex) => matchesWhole(algebra, regex)));
  try {
    const first = automaton(
      algebra,
      algebra.or(
        all(texts.positive),
        algebra.sequence(algebra.text("-"), all(texts.negative)),
      ),
      charsOf("-.0123456789"),
    );
    if (first === undefined) return undefined;
    builder.addJson("space");
    return addAutomaton(
      builder,
      place.name,
      first,
      (set) => {
        const [range] = set;
        return range !== undefined && set.length === 1 && range[0] === range[1]
          ? [literal(String.fromCodePoint(range[0]))]
          : [charClass(set)];
      },
      "space",
    );
  } catch (thrown) {
    if (thrown instanceof TooLarge)
      throw unsupported(path, "its bounds need too many rules");
    throw thrown;
  }
}
