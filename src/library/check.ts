/** Options of the library, checked once, at its edge: what is wrong is a USAGE error that names the function and the option. */
import { z } from "zod";
import { BATCH_MODES, KV_TYPES, ShoalError } from "../lib/index.ts";

/** What `schema` makes of `options`, its defaults filled in. Throws USAGE. */
export function check<I, O>(
  what: string,
  schema: z.ZodType<O, I>,
  options: I,
): O {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = (issue?.path ?? []).map(String);
  const option = path.join(".");
  const fail = (text: string): never => {
    throw new ShoalError("USAGE", `${what}: ${text}`, { option });
  };
  if (issue?.code === "unrecognized_keys")
    return fail(`there is no option \`${[...path, issue.keys[0]].join(".")}\``);
  if (option === "") return fail("the options must be an object");
  if (isMissing(options, issue?.path ?? []))
    return fail(`\`${option}\` is missing: it ${issue?.message}`);
  return fail(`\`${option}\` ${issue?.message}`);
}

function isMissing(options: unknown, path: readonly PropertyKey[]): boolean {
  let value = options;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return false;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value === undefined;
}

/** A whole number within bounds, with a phrase to put behind the option's name. */
export function whole(min: number, max: number): z.ZodNumber {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .number({ error })
    .int({ error })
    .min(min, { error })
    .max(max, { error });
}

export function text(what: string, maxChars = 4096): z.ZodString {
  const error = `must be ${what}`;
  return z
    .string({ error })
    .min(1, { error })
    .max(maxChars, { error: `must have at most ${maxChars} characters` });
}

/** What an option `model` must be. */
export const MODEL =
  "the path of a GGUF, or a reference like hf:owner/repo:Q4_K_M or https://…";

/** What computes. */
export const gpuFields = {
  gpu: text('"auto", "off" or a graphics card\'s name', 64).optional(),
  gpuLayers: whole(0, 65_536).optional(),
};

/** How stages compute. */
export const modeFields = {
  kv: z.enum(KV_TYPES).optional(),
  batch: z.enum(BATCH_MODES).optional(),
};

export const flag = z.boolean({ error: "must be true or false" });
export const port = whole(0, 65_535);
/** Node's timers take no more. */
export const durationMs = whole(1, 2 ** 31 - 1);
export const bytes = whole(0, Number.MAX_SAFE_INTEGER);
/** Of a limit: nothing would come of 0. */
export const someBytes = whole(1, Number.MAX_SAFE_INTEGER);
export const signal = z.instanceof(AbortSignal, {
  error: "must be an AbortSignal",
});
/** A function; what it takes is for the compiler to check. */
export const callback = <F>(): z.ZodType<F, F> =>
  z.custom<F>((value) => typeof value === "function", {
    error: "must be a function",
  });

/** `parse`, whose error's message is put behind the option's name. */
export function parsed<O>(
  parse: (text: string) => O,
): (given: string, context: z.RefinementCtx) => O {
  return (given, context) => {
    try {
      return parse(given);
    } catch (error) {
      context.addIssue({
        code: "custom",
        message: `is not understood: ${ShoalError.from(error).message}`,
      });
      return z.NEVER;
    }
  };
}
