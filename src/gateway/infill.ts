/** Prompts for filling a gap, where the vocabulary has tokens for it: as llama.cpp's server makes them (`format_prompt_infill`). */
import type { ServedModel } from "../inference/index.ts";
import { ShoalError } from "../lib/index.ts";

/** What is around the gap. */
export interface Gap {
  prefix: string;
  suffix: string;
  /** How the gap's text begins. */
  begun?: string;
  /** Other files that may matter, the most important one last. */
  extra?: readonly { name?: string | undefined; text: string }[];
}

/** llama.cpp's default batch: so much of prefix (three quarters) and suffix is shown, less in a short context. */
const MOST_TOKENS_AROUND = 2048;

/** Throws PARAMETER_UNSUPPORTED if the vocabulary has no such tokens. */
export async function infillTokens(
  model: ServedModel,
  { prefix, suffix, begun = "", extra = [] }: Gap,
  encode: (text: string, addSpecial: boolean) => Promise<Int32Array>,
): Promise<Int32Array> {
  const { infill } = model.tokenizer;
  if (
    infill.prefix === undefined ||
    infill.suffix === undefined ||
    infill.middle === undefined
  ) {
    const what = `the model ${model.id} cannot fill gaps: its vocabulary has no tokens for it`;
    throw new ShoalError("PARAMETER_UNSUPPORTED", what, { param: "suffix" });
  }
  const { contextLength } = model;
  const around = Math.min(MOST_TOKENS_AROUND, Math.floor(contextLength / 2));
  const quarter = Math.floor(around / 4);
  const start = await encode(begun, false);
  const before = await encode(prefix, false);
  const after = await encode(suffix, false);
  const others = await extraTokens(model, extra, encode);
  const room = Math.floor(contextLength / 4) - 8;
  return Int32Array.from([
    ...last(others, Math.max(0, room)),
    ...(await encode("", true)), // BOS, where the model has one
    infill.prefix,
    ...last(before, 3 * quarter),
    ...start,
    infill.suffix,
    ...after.subarray(0, Math.max(0, quarter - (2 + start.length))),
    infill.middle,
  ]);
}

async function extraTokens(
  { tokenizer: { infill } }: ServedModel,
  extra: NonNullable<Gap["extra"]>,
  encode: (text: string, addSpecial: boolean) => Promise<Int32Array>,
): Promise<number[]> {
  const tokens: number[] = [];
  const add = async (text: string): Promise<void> => {
    for (const token of await encode(text, false)) tokens.push(token);
  };
  if (infill.repository !== undefined) {
    tokens.push(infill.repository);
    await add("myproject\n");
  }
  for (const { name = "tmp", text } of extra) {
    if (infill.file === undefined) await add("\n\n--- snippet ---\n\n");
    else {
      tokens.push(infill.file);
      await add(`${name}\n`);
    }
    await add(text);
  }
  if (infill.file !== undefined) {
    tokens.push(infill.file);
    await add("filename\n");
  }
  return tokens;
}

function last<T>(
  tokens: { length: number; slice(start: number): T },
  count: number,
): T {
  return tokens.slice(Math.max(0, tokens.length - count));
}
