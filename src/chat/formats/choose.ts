import { openers, type CallFormat, type Marks } from "./format.ts";
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

/** Around an answer that follows thoughts: Command R7B's and Granite's, and what their templates say of it. */
const WRAPPERS: readonly (Marks & { said: string })[] = [
  {
    open: "<|START_RESPONSE|>",
    close: "<|END_RESPONSE|>",
    said: "<|END_RESPONSE|>",
  },
  {
    open: "<response>",
    close: "</response>",
    said: "between <response></response>",
  },
];

export function wrapperOf(source: string): Marks | undefined {
  return WRAPPERS.find(({ said }) => source.includes(said));
}

/** The call alone, out of a conversation in which the template wrote it. */
export function exampleOf(format: CallFormat, callText: string): string {
  const { section, call, body, isList = false } = format;
  const begins = openers(format).flatMap((mark) => placeOf(callText, mark));
  if (begins.length === 0 && body.kind === "object") {
    begins.push(callText.indexOf("{"));
  }
  const json = isList ? "]" : "}";
  const ends = [section?.close ?? "", call.close, json].flatMap((mark) => {
    const at = mark === "" ? -1 : callText.lastIndexOf(mark);
    return at < 0 ? [] : [at + mark.length];
  });
  return callText.slice(Math.min(...begins), Math.max(...ends));
}

function placeOf(text: string, mark: string): number[] {
  const at = text.indexOf(mark);
  return at < 0 ? [] : [at];
}
