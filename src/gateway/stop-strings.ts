/** Texts that end a reply, as a list or a single one. */
import { z } from "zod";

/** OpenAI takes 4, others any number; the text is searched for each. */
const MAX_STOPS = 64;
/** Text that may begin a stop string is held back from the client, so a longer one would hide the stream. */
const MAX_STOP_CHARS = 256;

const stopString = z
  .string({ error: "must be a string" })
  .max(MAX_STOP_CHARS, {
    error: `must have at most ${MAX_STOP_CHARS} characters`,
  })
  .refine((stop) => stop.isWellFormed(), { error: "must be valid Unicode" });

export const stopStrings = z.preprocess(
  (value) => (typeof value === "string" ? [value] : value),
  z
    .array(stopString, { error: "must be a string or a list of strings" })
    .max(MAX_STOPS, { error: `must have at most ${MAX_STOPS} strings` })
    .transform((stops) => stops.filter((stop) => stop !== "")), // stops nothing, as in llama.cpp's server
);
