import { checkGrammar, GrammarBuilder, literal } from "../../grammar/index.ts";
import type { ChatRequest, Hold, Tool } from "../chat-request.ts";
import type { Reasoning } from "../reasoning.ts";
import type { ReplyGrammar, ReplyTrigger } from "../reply.ts";
import { addCalls } from "./call-grammar.ts";
import type { ReplyForm } from "./form.ts";
import { openers, type CallFormat } from "./format.ts";
import { GENERIC_CALLS } from "./generic.ts";
import { addRules, textUpTo } from "./grammar-text.ts";
import {
  addHarmonyAnswer,
  addHarmonyCalls,
  addHarmonyThoughts,
  HARMONY_TRIGGERS,
} from "./harmony-grammar.ts";

/**
 * What holds a reply to the request. Where a call is allowed, it holds the call once it has begun; where one is required, or the content has
 * a form, it holds the whole reply, behind its thoughts. With tools and a form the reply is a call or has the form.
 */
export function replyGrammar(
  form: ReplyForm,
  tools: readonly Tool[],
  { toolChoice, parallelToolCalls, hold }: ChatRequest,
): ReplyGrammar | undefined {
  const isCalling = toolChoice !== "auto" && toolChoice !== "none";
  const callable =
    typeof toolChoice === "string"
      ? tools
      : tools.filter(({ name }) => name === toolChoice.name);
  if (callable.length === 0 && hold === undefined) return undefined;
  const parts = partsOf(form, callable, parallelToolCalls);
  const { grammar, thoughts, calls, answer } = parts;
  const isLazy = hold === undefined && !isCalling && form.kind !== "generic";
  if (isLazy) {
    grammar.addRule("root", calls?.() ?? "");
    return { gbnf: grammar.toString(), triggers: triggersOf(form) };
  }
  if (hold?.kind === "gbnf") checkGrammar(hold.gbnf);
  const before = thoughts();
  const isWhole = before === "" && form.kind === "marked";
  if (isWhole && calls === undefined && hold?.kind === "gbnf") {
    return { gbnf: hold.gbnf };
  }
  const choices: string[] = [];
  if (calls !== undefined) choices.push(calls());
  if (!isCalling) choices.push(answer(hold));
  grammar.addRule("root", `${before} (${choices.join(" | ")})`);
  return { gbnf: grammar.toString() };
}

interface Parts {
  readonly grammar: GrammarBuilder;
  readonly thoughts: () => string;
  /** Undefined: there are no tools. */
  readonly calls: (() => string) | undefined;
  readonly answer: (hold: Hold | undefined) => string;
}

function partsOf(
  form: ReplyForm,
  tools: readonly Tool[],
  isParallel: boolean,
): Parts {
  const grammar = new GrammarBuilder();
  if (form.kind === "harmony") {
    return {
      grammar,
      thoughts: () => addHarmonyThoughts(grammar, form.state),
      calls:
        tools.length === 0
          ? undefined
          : () => addHarmonyCalls(grammar, form.state, tools),
      answer: (hold) => addHarmonyAnswer(form.state, addHold(grammar, hold)),
    };
  }
  const thoughts = (): string => addThoughts(grammar, form.reasoning);
  if (form.kind === "generic") {
    const member = (key: string, rule: string): string => {
      const space = grammar.addJson("space");
      return `"{" ${space} ${literal(`"${key}"`)} ${space} ":" ${space} ${rule} ${space} "}"`;
    };
    const calls = (): string =>
      member("tool_calls", addCalls(grammar, GENERIC_CALLS, tools, isParallel));
    const answer = (hold: Hold | undefined): string =>
      member(
        "response",
        hold === undefined ? grammar.addJson("string") : addHold(grammar, hold),
      );
    return { grammar, thoughts, calls, answer };
  }
  const { format } = form;
  const calls =
    format === undefined || tools.length === 0
      ? undefined
      : (): string => addCalls(grammar, format, tools, isParallel);
  return { grammar, thoughts, calls, answer: (hold) => addHold(grammar, hold) };
}

function addThoughts(
  grammar: GrammarBuilder,
  reasoning: Reasoning | undefined,
): string {
  if (reasoning === undefined || reasoning.state === "closed") return "";
  const { open, close } = reasoning.marks;
  const space = grammar.addJson("space");
  const rest = `${textUpTo(grammar, close)} ${space}`;
  return reasoning.state === "open"
    ? rest
    : `(${space} ${literal(open)} ${rest})?`;
}

function addHold(grammar: GrammarBuilder, hold: Hold | undefined): string {
  switch (hold?.kind) {
    case "schema":
      return grammar.addSchema("answer", hold.schema);
    case "gbnf":
      return addRules(grammar, hold.gbnf);
    default:
      return grammar.addJson("object");
  }
}

function triggersOf(form: ReplyForm): ReplyTrigger[] {
  if (form.kind === "harmony") return [...HARMONY_TRIGGERS];
  const format = form.kind === "marked" ? form.format : undefined;
  return format === undefined ? [] : callTriggers(format);
}

function callTriggers(format: CallFormat): ReplyTrigger[] {
  const words = openers(format).map((text): ReplyTrigger => ({
    kind: "word",
    text,
  }));
  if (format.isBare !== true || format.body.kind !== "object") return words;
  const { name } = format.body;
  const regex = `^\\s*(\\{\\s*(?:"type"\\s*:\\s*"function"\\s*,\\s*)?"${name}"\\s*:\\s*")`;
  return [...words, { kind: "pattern", regex }];
}
