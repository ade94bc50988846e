import type { CallFormat, Marks } from "./format.ts";
import { CALL_FORMATS } from "./list.ts";

/** The format that the template writes: in a call, or else in its source, where it tells the model of it. */
export function chooseFormat(
  source: string,
  callText: string | undefined,
): CallFormat | undefined {
  return formatIn(callText ?? "") ?? formatIn(source);
}

const formatIn = (text: string): CallFormat | undefined =>
  CALL_FORMATS.find(({ written }) => written.every((mark) => mark.test(text)));

/** gpt-oss's channels. */
export function isHarmony(source: string): boolean {
  return source.includes("<|channel|>") && source.includes("<|message|>");
}

/** Around an answer that follows thoughts: Command R7B's, Granite's. */
const WRAPPERS: readonly Marks[] = [
  { open: "<|START_RESPONSE|>", close: "<|END_RESPONSE|>" },
  { open: "<response>", close: "</response>" },
];

export function wrapperOf(source: string): Marks | undefined {
  return WRAPPERS.find(({ close }) => source.includes(close));
}
