/** A conversation's messages as OpenAI's clients send them, the older forms and other servers' fields among them. */
import { z } from "zod";
import type { ChatMessage, Json } from "../../chat/index.ts";
import { anObject, text } from "./common-fields.ts";

/** A longer conversation fits no context; each message costs a pass through the template. */
const MAX_MESSAGES = 2048;
const MAX_CONTENT_PARTS = 1024;
/** In one message. */
const MAX_CALLS = 128;
const MAX_NAME_CHARS = 256;

const CONTENT = "must be a string or a list of text parts";
const ONLY_TEXT = 'must be "text": the model reads nothing else';

/** Only text: the models served here read nothing else. A refusal is what a model said. */
const contentPart = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text"), text: text("must be a string") }),
    z
      .object({ type: z.literal("refusal"), refusal: text("must be a string") })
      .transform(({ refusal }) => ({ type: "text" as const, text: refusal })),
  ],
  {
    error: (issue) =>
      issue.code === "invalid_union" ? ONLY_TEXT : "must be a text part",
  },
);

/** Parts are joined as llama.cpp's server does (`common_chat_msgs_to_json_oaicompat`): one line each. */
const content = z.preprocess(
  (value) =>
    typeof value === "string" ? [{ type: "text", text: value }] : value,
  z
    .array(contentPart, { error: CONTENT })
    .max(MAX_CONTENT_PARTS, {
      error: `must have at most ${MAX_CONTENT_PARTS} parts`,
    })
    .transform((parts) => parts.map((part) => part.text).join("\n")),
);

const name = text("must be a string").max(MAX_NAME_CHARS, {
  error: `must have at most ${MAX_NAME_CHARS} characters`,
});

const calledFunction = z.object(
  {
    name,
    /** JSON, or what it says. */
    arguments: z.custom<Json>((value) => value !== undefined).nullish(),
  },
  { error: anObject },
);

const toolCall = z
  .object({ id: name.nullish(), function: calledFunction }, { error: anObject })
  .transform(({ id, function: its }) => ({
    id: id ?? "",
    type: "function",
    function: { name: its.name, arguments: its.arguments ?? "{}" },
  }));

const thought = text("must be a string").nullish();

const assistant = z
  .object({
    role: z.literal("assistant"),
    content: content.nullish(),
    refusal: thought,
    reasoning_content: thought,
    reasoning: z.unknown().optional(),
    tool_calls: z
      .array(toolCall, { error: "must be a list of tool calls" })
      .max(MAX_CALLS, { error: `must have at most ${MAX_CALLS} calls` })
      .nullish(),
    function_call: calledFunction.nullish(),
  })
  .transform(({ role, ...said }): ChatMessage => {
    const old = said.function_call;
    const calls = [
      ...(said.tool_calls ?? []),
      ...(old ? [toolCall.parse({ function: old })] : []),
    ];
    const { reasoning } = said;
    const thought =
      said.reasoning_content ??
      (typeof reasoning === "string" ? reasoning : undefined);
    return {
      role,
      content: said.content ?? said.refusal ?? "",
      ...(calls.length > 0 && { tool_calls: calls }),
      ...(thought !== undefined && { reasoning_content: thought }),
    };
  });

const result = z
  .object({
    role: z.enum(["tool", "function"]),
    content,
    tool_call_id: name.nullish(),
    name: name.nullish(),
  })
  .transform(({ content, tool_call_id: id, name }): ChatMessage => ({
    role: "tool",
    content,
    ...(typeof id === "string" && { tool_call_id: id }),
    ...(typeof name === "string" && { name }),
  }));

const said = z.object({
  role: z.enum(["system", "developer", "user"]),
  content,
});

const ROLES =
  'must be "system", "developer", "user", "assistant", "tool" or "function"';

const message = z.discriminatedUnion("role", [said, assistant, result], {
  error: (issue) => (issue.code === "invalid_union" ? ROLES : anObject),
});

export const messages = z
  .array(message, { error: "must be a list of messages" })
  .min(1, { error: "must have at least one message" })
  .max(MAX_MESSAGES, { error: `must have at most ${MAX_MESSAGES} messages` })
  .transform((all): ChatMessage[] => all.map((one) => ({ ...one })));
