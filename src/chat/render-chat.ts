import type { ChatTemplate, Json, RenderOptions } from "./chat-template.ts";
import { contentText, type ChatMessage } from "./chat-messages.ts";
import {
  checkRequest,
  continuedMessage,
  isLeastEffort,
  thinkingWanted,
  type ChatRequest,
} from "./chat-request.ts";
import {
  reasoningMarks,
  reasoningState,
  type ReasoningMarks,
  type ReasoningState,
} from "./reasoning.ts";
import type { ReplyGrammar, ReplyReader } from "./reply.ts";
import {
  chooseFormat,
  exampleOf,
  isHarmony,
  wrapperOf,
} from "./formats/choose.ts";
import {
  formReader,
  preservedOf,
  type ReplyForm,
  thoughtMarks,
} from "./formats/form.ts";
import { shownMessages, takesShortIds, withTools } from "./formats/told.ts";
import { continuedHarmony, type HarmonyState } from "./formats/harmony.ts";
import { replyGrammar } from "./formats/reply-grammar.ts";
import { callId, CallScope } from "./formats/scope.ts";

/** What a template is told of the model's vocabulary. */
export interface ChatVocabulary {
  readonly bosText: string;
  readonly eosText: string;
  /** The tokenizer writes BOS itself. */
  readonly addsBos: boolean;
}

export interface RenderedChat {
  readonly prompt: string;
  /** A new reader of a reply to it. `random` makes the ids of calls where the model gives none. */
  readonly reader: (random?: () => number) => ReplyReader;
  readonly grammar?: ReplyGrammar;
  /** More texts that end the reply. */
  readonly stop: readonly string[];
  /** Control tokens by their text: the reader must see them, others stay unseen. */
  readonly preserved: readonly string[];
  /** How much may be thought, and where, if the request has a limit. */
  readonly thoughts?: {
    readonly most: number;
    /** Without: the prompt opened it. */
    readonly open?: string;
    readonly close: string;
  };
}

/** Throws TEMPLATE_FAILED as `ChatTemplate.render`, and REQUEST_INVALID if the request contradicts itself. */
export function renderChat(
  template: ChatTemplate,
  request: ChatRequest,
  vocabulary: ChatVocabulary,
): RenderedChat {
  checkRequest(request);
  const options = renderOptions(request, vocabulary);
  const source = template.sourceFor(options);
  const tools = callableTools(request);
  const supported = template.supports(options);
  const callText = template.callText(options);
  // Of tools that the template does not tell of, the model hears with a call as an example.
  const isKnown = supported.tools || callText !== undefined;
  const format =
    tools.length > 0 && isKnown ? chooseFormat(source, callText) : undefined;
  const kind = isHarmony(source)
    ? "harmony"
    : tools.length > 0 && format === undefined
      ? "generic"
      : "marked";
  const continued = continuedMessage(request);
  const told = continued ? request.messages.slice(0, -1) : request.messages;
  const shown = shownMessages(told, supported, takesShortIds(source));
  const example = format && callText && exampleOf(format, callText);
  const needsWords =
    kind === "generic" || (tools.length > 0 && !supported.tools);
  const messages = needsWords
    ? withTools(shown, options.tools ?? [], example)
    : shown;
  const marks = reasoningMarks(source);
  const begun = template.render(messages, options);
  const prompt = begun + continuation(begun, kind, continued, marks);
  const form = ((): ReplyForm => {
    if (kind === "harmony") return { kind, state: harmonyState(continued) };
    const reasoning = marks && {
      marks,
      state: stateAfter(continued) ?? reasoningState(prompt, marks),
    };
    return kind === "generic"
      ? { kind, reasoning }
      : { kind, reasoning, format, wrapper: wrapperOf(source) };
  })();
  const grammar = replyGrammar(form, tools, request);
  const hasShortIds = format?.hasShortIds === true;
  const most = request.thoughtTokens;
  const where = most === undefined ? undefined : thoughtMarks(form);
  return {
    prompt,
    reader: (random = Math.random) =>
      formReader(form, new CallScope(tools, () => callId(random, hasShortIds))),
    ...(grammar !== undefined && { grammar }),
    stop: [],
    preserved: preservedOf(form),
    ...(most !== undefined && where && { thoughts: { most, ...where } }),
  };
}

/** Whether the models of this template think before they answer. */
export function thinks(source: string): boolean {
  return isHarmony(source) || reasoningMarks(source) !== undefined;
}

/** The tools that a reply may call. */
const callableTools = ({ tools = [], toolChoice }: ChatRequest) =>
  toolChoice === "none" ? [] : tools;

function renderOptions(
  request: ChatRequest,
  { bosText, eosText, addsBos }: ChatVocabulary,
): RenderOptions {
  const thinking = thinkingWanted(request);
  return {
    bosToken: bosText,
    eosToken: eosText,
    tokenizerAddsBos: addsBos,
    tools: request.tools?.map(toolAsJson),
    documents: request.documents,
    enableThinking: thinking,
    variables: {
      // Granite's and DeepSeek's name for it.
      ...(thinking !== undefined && { thinking }),
      ...effortOf(request),
      ...request.variables,
    },
  };
}

/** gpt-oss knows no effort below "low", and others switch their thoughts off. */
function effortOf({ reasoningEffort: effort }: ChatRequest): {
  reasoning_effort?: string;
} {
  if (effort === undefined) return {};
  return { reasoning_effort: isLeastEffort(effort) ? "low" : effort };
}

function toolAsJson(tool: NonNullable<ChatRequest["tools"]>[number]): Json {
  const { name, description, parameters, strict } = tool;
  return {
    type: "function",
    function: {
      name,
      // Templates write it without asking whether there is one.
      description: description ?? "",
      parameters: parameters ?? { type: "object", properties: {} },
      ...(strict !== undefined && { strict }),
    },
  };
}

/** How a continued message goes on behind the prompt. As llama.cpp: what was thought is written again, in its marks. */
function continuation(
  prompt: string,
  kind: ReplyForm["kind"],
  continued: ChatMessage | undefined,
  marks: ReasoningMarks | undefined,
): string {
  if (continued === undefined) return "";
  const { content, reasoning_content: thought = "" } = continued;
  const text = contentText(content);
  if (kind === "harmony") {
    const state = harmonyState(continued);
    return continuedHarmony(state, state === "analysis" ? thought : text);
  }
  if (marks === undefined) return text;
  const isOpen = reasoningState(prompt, marks) === "open";
  const close = text === "" ? "" : marks.close;
  if (thought === "") return `${isOpen ? close : ""}${text}`;
  return `${isOpen ? "" : marks.open}${thought}${close}${text}`;
}

/** Where a continued message was left. */
function stateAfter(
  continued: ChatMessage | undefined,
): ReasoningState | undefined {
  if (continued === undefined) return undefined;
  if (contentText(continued.content) !== "") return "closed";
  return (continued.reasoning_content ?? "") === "" ? undefined : "open";
}

function harmonyState(continued: ChatMessage | undefined): HarmonyState {
  const state = stateAfter(continued);
  if (state === undefined) return "header";
  return state === "open" ? "analysis" : "final";
}
