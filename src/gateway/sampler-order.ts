/** `samplers`: names, or a text with a letter for each (`common_sampler_types_from_names` and `…_from_chars`, common/sampling.cpp). */
import { z } from "zod";
import { MAX_SAMPLERS, type SamplerName } from "../engine/index.ts";

const LETTERS: Readonly<Record<string, SamplerName>> = {
  e: "penalties",
  d: "dry",
  s: "top_n_sigma",
  k: "top_k",
  y: "typ_p",
  p: "top_p",
  m: "min_p",
  x: "xtc",
  t: "temperature",
};

const OTHER_NAMES: Readonly<Record<string, SamplerName>> = {
  typical_p: "typ_p",
  typical: "typ_p",
  typ: "typ_p",
  nucleus: "top_p",
  temp: "temperature",
};
const NAMES = new Map<string, SamplerName>([
  ...Object.values(LETTERS).map((name) => [name, name] as const),
  ...Object.entries(OTHER_NAMES),
]);

const ERROR = `must be a list of at most ${MAX_SAMPLERS} names of samplers, or a text with a letter for each`;
const bounded = { error: ERROR };

/** What is no sampler here is left out, as in llama-server. */
export const samplerOrder = z
  .union(
    [
      z
        .string()
        .max(MAX_SAMPLERS, bounded)
        .transform((letters) =>
          letters.split("").map((letter) => LETTERS[letter]),
        ),
      z
        .array(z.string(), bounded)
        .max(MAX_SAMPLERS, bounded)
        .transform((names) =>
          names.map((name) =>
            NAMES.get(name.toLowerCase().replaceAll("-", "_")),
          ),
        ),
    ],
    bounded,
  )
  .transform((order) => order.filter((name) => name !== undefined));
