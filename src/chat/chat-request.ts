import { ShoalError } from "../lib/index.ts";
import type { ChatMessage, Json } from "./chat-template.ts";

/** A function that the model may call. */
export interface Tool {
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON Schema of the arguments. Without it, any object. */
  readonly parameters?: Json | undefined;
  readonly strict?: boolean | undefined;
}

export type ToolChoice =
  "auto" | "none" | "required" | { readonly name: string };

/** What the reply's content must be. */
export type Hold =
  | { readonly kind: "json" }
  | { readonly kind: "schema"; readonly schema: unknown }
  | { readonly kind: "gbnf"; readonly gbnf: string };

/** A conversation and what is asked of the next message, whichever API it came by. */
export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly Tool[] | undefined;
  readonly toolChoice: ToolChoice;
  /** More than one call in a reply. */
  readonly parallelToolCalls: boolean;
  readonly enableThinking?: boolean | undefined;
  /** A variable of the template. "none" and "minimal" also switch thinking off, unless `enableThinking` says otherwise. */
  readonly reasoningEffort?: string | undefined;
  readonly documents?: readonly Json[] | undefined;
  readonly variables?: Readonly<Record<string, Json>> | undefined;
  /** A last message of the assistant is gone on with, not answered. */
  readonly continueLast?: boolean | undefined;
  readonly hold?: Hold | undefined;
  /** The most tokens that the model may think with. */
  readonly thoughtTokens?: number | undefined;
}

/** Throws REQUEST_INVALID if a call is asked for that no tool can answer. */
export function checkRequest({
  tools = [],
  toolChoice,
  hold,
}: ChatRequest): void {
  if (toolChoice === "none") return;
  if (hold?.kind === "gbnf" && tools.length > 0) {
    throw invalid('a grammar of your own needs `tool_choice` "none"');
  }
  if (toolChoice === "auto") return;
  if (tools.length === 0) {
    throw invalid("a call is required, but there are no `tools`");
  }
  if (
    toolChoice !== "required" &&
    !tools.some(({ name }) => name === toolChoice.name)
  ) {
    throw invalid("`tool_choice` names none of the `tools`");
  }
}

const invalid = (what: string): ShoalError =>
  new ShoalError("REQUEST_INVALID", what, { param: "tool_choice" });

/** The last message, if it is to be continued. Throws REQUEST_INVALID if two of the assistant's are last, as llama-server. */
export function continuedMessage(
  request: ChatRequest,
): ChatMessage | undefined {
  const { messages, continueLast } = request;
  const last = messages.at(-1);
  if (continueLast !== true || last?.role !== "assistant") return undefined;
  if ((last.tool_calls ?? []).length > 0) return undefined;
  if (messages.at(-2)?.role === "assistant") {
    const what = "only one message of the assistant may be last";
    throw new ShoalError("REQUEST_INVALID", what, { param: "messages" });
  }
  return last;
}

export function thinkingWanted(request: ChatRequest): boolean | undefined {
  const { enableThinking, reasoningEffort } = request;
  if (enableThinking !== undefined) return enableThinking;
  return isLeastEffort(reasoningEffort) ? false : undefined;
}

export const isLeastEffort = (effort: string | undefined): boolean =>
  effort === "none" || effort === "minimal";
