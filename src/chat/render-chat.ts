import type { ChatTemplate, Json, RenderOptions } from "./chat-template.ts";
import { contentText, type ChatMessage } from "./chat-messages.ts";
import {
  continuedMessage,
  thinkingWanted,
  type ChatRequest,
} from "./chat-request.ts";
import { readerOf, type Reading, type Reads } from "./reading.ts";
import {
  readReasoning,
  reasoningMarks,
  reasoningState,
  type Reasoning,
  type ReasoningMarks,
  type ReasoningState,
} from "./reasoning.ts";
import type { ReplyGrammar, ReplyReader } from "./reply.ts";

/** What a template is told of the model's vocabulary. */
export interface ChatVocabulary {
  readonly bosText: string;
  readonly eosText: string;
  /** The tokenizer writes BOS itself. */
  readonly addsBos: boolean;
}

export interface RenderedChat {
  readonly prompt: string;
  /** A new reader of a reply to it. */
  reader(): ReplyReader;
  readonly grammar?: ReplyGrammar;
  /** More texts that end the reply. */
  readonly stop: readonly string[];
  /** Control tokens by their text: the reader must see them, others stay unseen. */
  readonly preserved: readonly string[];
}

/** Throws TEMPLATE_FAILED as `ChatTemplate.render`, and REQUEST_INVALID if the request contradicts itself. */
export function renderChat(
  template: ChatTemplate,
  request: ChatRequest,
  vocabulary: ChatVocabulary,
): RenderedChat {
  const options = renderOptions(request, vocabulary);
  const marks = reasoningMarks(template.sourceFor(options));
  const continued = continuedMessage(request);
  const messages =
    continued === undefined ? request.messages : request.messages.slice(0, -1);
  const rendered = template.render(messages, options);
  const prompt =
    continued === undefined ? rendered : continuing(rendered, continued, marks);
  const reasoning = marks && {
    marks,
    state: stateAfter(continued) ?? reasoningState(prompt, marks),
  };
  return {
    prompt,
    reader: () => readerOf((reading) => readReply(reading, reasoning)),
    stop: [],
    preserved: marks === undefined ? [] : [marks.open, marks.close],
  };
}

function renderOptions(
  request: ChatRequest,
  { bosText, eosText, addsBos }: ChatVocabulary,
): RenderOptions {
  const effort = request.reasoningEffort;
  return {
    bosToken: bosText,
    eosToken: eosText,
    tokenizerAddsBos: addsBos,
    tools: request.tools?.map(toolAsJson),
    documents: request.documents,
    enableThinking: thinkingWanted(request),
    variables: {
      ...(effort !== undefined && { reasoning_effort: effort }),
      ...request.variables,
    },
  };
}

function toolAsJson(tool: NonNullable<ChatRequest["tools"]>[number]): Json {
  const { name, description, parameters, strict } = tool;
  return {
    type: "function",
    function: {
      name,
      ...(description !== undefined && { description }),
      parameters: parameters ?? { type: "object", properties: {} },
      ...(strict !== undefined && { strict }),
    },
  };
}

/** The prompt with the beginning of the answer. As llama.cpp: what was thought is written again, in its marks. */
function continuing(
  prompt: string,
  { content, reasoning_content: thought = "" }: ChatMessage,
  marks: ReasoningMarks | undefined,
): string {
  const text = contentText(content);
  if (marks === undefined) return prompt + text;
  const isOpen = reasoningState(prompt, marks) === "open";
  if (thought === "")
    return prompt + (isOpen && text !== "" ? marks.close : "") + text;
  const begun = isOpen ? "" : marks.open;
  return `${prompt}${begun}${thought}${text === "" ? "" : marks.close}${text}`;
}

/** Where a continued message was left. */
function stateAfter(
  continued: ChatMessage | undefined,
): ReasoningState | undefined {
  if (continued === undefined) return undefined;
  if (contentText(continued.content) !== "") return "closed";
  return (continued.reasoning_content ?? "") === "" ? undefined : "open";
}

function* readReply(reading: Reading, reasoning: Reasoning | undefined): Reads {
  if (reasoning !== undefined) yield* readReasoning(reading, reasoning);
  yield* reading.until([], (text) => reading.write({ kind: "content", text }));
}
