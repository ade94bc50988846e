/** Sampling by the names that llama.cpp's server, Ollama and most others have in common: those of `SamplingOptions` in snake case. */
import { z } from "zod";
import {
  SAMPLING_DEFAULTS,
  samplingFields,
  type SamplingOptions,
} from "../engine/index.ts";

/** Not a field of their own, or read in another way. */
const OTHERS: ReadonlySet<string> = new Set([
  "bias",
  "seed",
  "logprobs",
  "logprobsAfterSampling",
  "samplers",
  "grammar",
  "thoughts",
]);

const snakeCase = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const NAMES: readonly (readonly [snake: string, own: string])[] = Object.keys(
  samplingFields,
)
  .filter((own) => !OTHERS.has(own))
  .map((own) => [snakeCase(own), own]);

/** What a negative number means, as in llama.cpp's server: greedy, "off" or "all". */
const NEGATIVE: Readonly<Record<string, number>> = {
  temperature: 0,
  top_k: 0,
  repeat_last_n: Infinity,
};

/** For `z.object`. null is the same as absent. */
export const samplingShape: Readonly<Record<string, z.ZodType>> =
  Object.fromEntries(
    NAMES.map(([snake, own]) => {
      const field = samplingFields[own as keyof typeof samplingFields];
      const most = NEGATIVE[snake];
      const schema: z.ZodType =
        most === undefined
          ? field
          : z.union(
              [
                z
                  .int()
                  .max(-1)
                  .transform(() => most),
                field,
              ],
              {
                error: ({ input }) =>
                  field.safeParse(input).error?.issues[0]?.message,
              },
            );
      return [snake, schema.nullish()];
    }),
  );

/** What the fields say, over the defaults. Throws nothing: they were validated by `samplingShape`. */
export function samplingOf(
  fields: Readonly<Record<string, unknown>>,
  defaults: Partial<SamplingOptions>,
): Omit<SamplingOptions, "seed"> {
  const given = NAMES.flatMap(([snake, own]) => {
    const value = fields[snake];
    return value === undefined || value === null ? [] : [[own, value] as const];
  });
  return { ...SAMPLING_DEFAULTS, ...defaults, ...Object.fromEntries(given) };
}

/** The other way. */
export function samplingNames(
  sampling: Readonly<Omit<SamplingOptions, "seed">>,
): Record<string, unknown> {
  return Object.fromEntries(
    NAMES.map(([snake, own]) => [
      snake,
      sampling[own as keyof typeof sampling],
    ]),
  );
}

/** Clients' seeds have up to 64 bits, the engine's 32: the low ones. -1 is "any", as in llama.cpp's server. */
export function seedOf(
  seed: number | bigint | null | undefined,
): number | undefined {
  if (seed === null || seed === undefined || Number(seed) === -1)
    return undefined;
  return Number(BigInt.asUintN(32, BigInt(seed)));
}
