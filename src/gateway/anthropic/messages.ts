/** Anthropic's messages of blocks as the conversation that a chat template takes. */
import { z } from "zod";
import type { ChatMessage, Json } from "../../chat/index.ts";
import { addTurn, contentOf } from "../turns.ts";

/** A longer conversation fits no context; each message costs a pass through the template. */
const MAX_MESSAGES = 2048;
const MAX_BLOCKS = 1024;

const text = z.string({ error: "must be a string" });
const object = { error: "must be an object" };

const textBlock = z.object({ type: z.literal("text"), text }, object);
/** A document that is plain text is read as such. */
const documentBlock = z.object(
  {
    type: z.literal("document"),
    source: z.object(
      {
        type: z.literal("text", {
          error: 'must be "text", the only kind of document supported',
        }),
        data: text,
      },
      object,
    ),
  },
  object,
);

/** As one block, or as a list of blocks of these kinds. */
function blocks<T extends z.ZodType>(
  block: T,
  kinds: string,
): z.ZodPreprocess<z.ZodArray<T>> {
  return z.preprocess(
    (value) =>
      typeof value === "string" ? [{ type: "text", text: value }] : value,
    z
      .array(block, { error: `must be a string or a list of ${kinds}` })
      .max(MAX_BLOCKS, { error: `must have at most ${MAX_BLOCKS} blocks` }),
  );
}

const kinds = (...names: string[]): { error: string } => ({
  error: `must be ${names.map((name) => `"${name}"`).join(", ")}: models read only text here`,
});

export const systemBlocks = blocks(textBlock, "text blocks");

const toolResult = z.object(
  {
    type: z.literal("tool_result"),
    tool_use_id: text,
    content: blocks(
      z.discriminatedUnion(
        "type",
        [textBlock, documentBlock],
        kinds("text", "document"),
      ),
      "blocks",
    ).nullish(),
  },
  object,
);
const toolUse = z.object(
  {
    type: z.literal("tool_use"),
    id: text,
    name: text,
    input: z.custom<Json>().optional(),
  },
  object,
);
const thinkingBlock = z.object(
  { type: z.literal("thinking"), thinking: text },
  object,
);
const redacted = z.object({ type: z.literal("redacted_thinking") }, object);

const userBlocks = blocks(
  z.discriminatedUnion(
    "type",
    [textBlock, documentBlock, toolResult],
    kinds("text", "document", "tool_result"),
  ),
  "blocks",
);
const assistantBlocks = blocks(
  z.discriminatedUnion(
    "type",
    [textBlock, thinkingBlock, redacted, toolUse],
    kinds("text", "thinking", "redacted_thinking", "tool_use"),
  ),
  "blocks",
);

export const messageList = z
  .array(
    z.discriminatedUnion(
      "role",
      [
        z.object({ role: z.literal("user"), content: userBlocks }, object),
        z.object(
          { role: z.literal("assistant"), content: assistantBlocks },
          object,
        ),
        z.object({ role: z.literal("system"), content: systemBlocks }, object),
      ],
      { error: 'must be "user", "assistant" or "system"' },
    ),
    { error: "must be a list of messages" },
  )
  .min(1, { error: "must have at least one message" })
  .max(MAX_MESSAGES, { error: `must have at most ${MAX_MESSAGES} messages` });

type Message = z.infer<typeof messageList>[number];
type UserBlock = z.infer<typeof userBlocks>[number];
type AssistantBlock = z.infer<typeof assistantBlocks>[number];
type SystemBlock = z.infer<typeof systemBlocks>[number];

/** Turns of the same role one after another are one, as in Anthropic's API: many templates refuse two. */
export function conversation(
  system: readonly SystemBlock[],
  messages: readonly Message[],
): ChatMessage[] {
  const chat: ChatMessage[] = [];
  const add = (message: ChatMessage): void =>
    addTurn(chat, message, (role) => role !== "tool");
  if (system.length > 0) add(systemMessage(system));
  for (const message of messages) {
    if (message.role === "system") add(systemMessage(message.content));
    else if (message.role === "assistant") add(assistantTurn(message.content));
    else for (const turn of userTurns(message.content)) add(turn);
  }
  return chat;
}

/** What tools answered comes first, then what the user says. */
function userTurns(content: readonly UserBlock[]): ChatMessage[] {
  const results = content.filter((block) => block.type === "tool_result");
  const said = content.filter((block) => block.type !== "tool_result");
  return [
    ...results.map(({ tool_use_id, content }) => ({
      role: "tool",
      tool_call_id: tool_use_id,
      content: contentOf((content ?? []).map(textOf)),
    })),
    ...(said.length > 0 || results.length === 0
      ? [{ role: "user", content: contentOf(said.map(textOf)) }]
      : []),
  ];
}

function assistantTurn(content: readonly AssistantBlock[]): ChatMessage {
  const thoughts = content
    .flatMap((block) => (block.type === "thinking" ? block.thinking : []))
    .filter((thought) => thought !== "");
  const calls = content
    .filter((block) => block.type === "tool_use")
    .map(({ id, name, input = {} }) => ({
      id,
      type: "function",
      function: { name, arguments: JSON.stringify(input) },
    }));
  return {
    role: "assistant",
    content: contentOf(
      content.flatMap((block) => (block.type === "text" ? block.text : [])),
    ),
    ...(thoughts.length > 0 && { reasoning_content: thoughts.join("\n") }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

const textOf = (block: Exclude<UserBlock, { type: "tool_result" }>): string =>
  block.type === "text" ? block.text : block.source.data;

function systemMessage(content: readonly SystemBlock[]): ChatMessage {
  const texts = content.map(({ text }) => steadyText(text));
  return { role: "system", content: contentOf(texts) };
}

const BILLING = "x-anthropic-billing-header:";
/**
 * Claude Code begins its system prompt with a line for billing, in which a checksum differs with each request: nothing behind it could be
 * resumed from a kept session (https://github.com/ggml-org/llama.cpp/pull/21793).
 */
function steadyText(text: string): string {
  if (!text.startsWith(BILLING)) return text;
  return text.replace(/\bcch=[^;\s]{1,16};/, "cch=fffff;");
}
