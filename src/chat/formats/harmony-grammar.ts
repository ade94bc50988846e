import { literal, type GrammarBuilder } from "../../grammar/index.ts";
import type { Tool } from "../chat-request.ts";
import type { ReplyTrigger } from "../reply.ts";
import { addArguments } from "./call-grammar.ts";
import { textUpTo } from "./grammar-text.ts";
import { HARMONY_MARKS, type HarmonyState } from "./harmony.ts";

const { start, channel, constrain, message, end } = HARMONY_MARKS;
const CHANNELS = `${literal(channel)} ("commentary" | "analysis")`;
const CONSTRAINT = `(" "? ${literal(constrain)} "json" | " json" | " code")?`;
const NEXT = `${literal(start)} "assistant"`;

/** As llama.cpp's (common_chat_params_init_gpt_oss): the recipient is in the role's header, or in the channel's. */
export const HARMONY_TRIGGERS: readonly ReplyTrigger[] = [
  String.raw`^(?:<\|start\|>assistant\s*)?(\s+to=functions)`,
  String.raw`(?:<\|end\|>)(?:<\|start\|>assistant\s*)?(\s+to=functions)`,
  String.raw`(?:<\|start\|>assistant\s*)?(<\|channel\|>(?:commentary|analysis)\s+to=functions)`,
].map((regex) => ({ kind: "pattern", regex }));

/** The analysis before anything else, and the header behind it. */
export function addHarmonyThoughts(
  grammar: GrammarBuilder,
  state: HarmonyState,
): string {
  if (state === "final") return "";
  const thoughts = textUpTo(grammar, end);
  if (state === "analysis") return `${thoughts} ${NEXT}`;
  const header = literal(`${channel}analysis${message}`);
  return `(${header} ${thoughts} ${NEXT})?`;
}

export function addHarmonyCalls(
  grammar: GrammarBuilder,
  state: HarmonyState,
  tools: readonly Tool[],
): string {
  const calls = tools.map((tool) => {
    const to = literal(` to=functions.${tool.name}`);
    const header = `(${to} ${CHANNELS} | ${CHANNELS} ${to}) ${CONSTRAINT} ${literal(message)}`;
    const name = `call-${tool.name}`;
    return grammar.addRule(name, `${header} ${addArguments(grammar, tool)}`);
  });
  const call = `(${calls.join(" | ")})`;
  return state === "final" ? `${literal(end)} ${NEXT} ${call}` : call;
}

export function addHarmonyAnswer(state: HarmonyState, rule: string): string {
  if (state === "final") return rule;
  return `${literal(`${channel}final`)} ${CONSTRAINT} ${literal(message)} ${rule}`;
}
