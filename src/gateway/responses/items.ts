/** The items of a conversation in OpenAI's Responses, as clients give them and as they are kept (https://platform.openai.com/docs/api-reference/responses). */
import type {
  ResponseFunctionToolCallItem,
  ResponseFunctionToolCallOutputItem,
  ResponseInputMessageItem,
  ResponseOutputMessage,
  ResponseReasoningItem,
} from "openai/resources/responses/responses";
import { z } from "zod";
import type { ChatMessage } from "../../chat/index.ts";
import { addTurn, contentOf } from "../turns.ts";

/** A longer conversation fits no context; each message costs a pass through the template. */
export const MAX_ITEMS = 2048;
const MAX_PARTS = 1024;
/** Of what a client made up, or this gateway. */
const MAX_ID_CHARS = 256;

export type Item =
  | ResponseInputMessageItem
  | ResponseOutputMessage
  | ResponseFunctionToolCallItem
  | ResponseFunctionToolCallOutputItem
  | ResponseReasoningItem;

const object = { error: "must be an object" };
const text = z.string({ error: "must be a string" });
const ID = `must have at most ${MAX_ID_CHARS} characters`;
const id = text.max(MAX_ID_CHARS, { error: ID });

/** A text of any kind, refusals too: what the model is shown is the same. */
const part = z.union(
  [
    z.object({ type: z.enum(["input_text", "output_text"]), text }),
    z
      .object({ type: z.literal("refusal"), refusal: text })
      .transform(({ refusal }) => ({ text: refusal })),
  ],
  {
    error:
      'must be an "input_text", "output_text" or "refusal" with its text: models read only text here',
  },
);
const texts = z.preprocess(
  (value) =>
    typeof value === "string" ? [{ type: "input_text", text: value }] : value,
  z
    .array(part, { error: "must be a string or a list of text parts" })
    .max(MAX_PARTS, { error: `must have at most ${MAX_PARTS} parts` })
    .transform((parts) => parts.map(({ text }) => text)),
);
const thoughts = z
  .array(z.object({ text }, object), { error: "must be a list" })
  .max(MAX_PARTS, { error: `must have at most ${MAX_PARTS} parts` });

const given = z.discriminatedUnion(
  "type",
  [
    z.object({
      type: z.literal("message"),
      id: id.nullish(),
      role: z.enum(["user", "assistant", "system", "developer"], {
        error: 'must be "user", "assistant", "system" or "developer"',
      }),
      content: texts,
    }),
    z.object({
      type: z.literal("function_call"),
      id: id.nullish(),
      call_id: id,
      name: text,
      arguments: text,
    }),
    z.object({
      type: z.literal("function_call_output"),
      id: id.nullish(),
      call_id: id.nullish(),
      output: texts,
    }),
    z.object({
      type: z.literal("reasoning"),
      id: id.nullish(),
      content: thoughts.nullish(),
      summary: thoughts.nullish(),
    }),
    z.object({ type: z.literal("item_reference"), id }),
  ],
  {
    error:
      'must be "message", "function_call", "function_call_output", "reasoning" or "item_reference"',
  },
);
type Given = z.infer<typeof given>;

/** A text is one message of the user. A message need not say that it is one. */
export const inputItems = z.preprocess(
  (value) =>
    typeof value === "string" ? [{ role: "user", content: value }] : value,
  z
    .array(z.preprocess(asMessage, given), {
      error: "must be a string or a list of items",
    })
    .max(MAX_ITEMS, { error: `must have at most ${MAX_ITEMS} items` }),
);

function asMessage(item: unknown): unknown {
  if (typeof item !== "object" || item === null) return item;
  const { type = null, role } = item as Record<string, unknown>;
  return type === null && role !== undefined
    ? { ...item, type: "message" }
    : item;
}

/** As it is kept and listed. `referred` finds an item that was kept before, and throws if there is none. */
export function itemOf(
  item: Given,
  newId: (prefix: string) => string,
  referred: (id: string) => Item,
): Item {
  const status = "completed";
  switch (item.type) {
    case "message": {
      const { role } = item;
      const id = item.id ?? newId("msg");
      return role === "assistant"
        ? {
            id,
            type: "message",
            role,
            status,
            content: item.content.map((text) => outputText(text)),
          }
        : {
            id,
            type: "message",
            role,
            status,
            content: item.content.map((text) => ({ type: "input_text", text })),
          };
    }
    case "function_call": {
      const { type, call_id, name, arguments: text } = item;
      const id = item.id ?? newId("fc");
      return { id, type, status, call_id, name, arguments: text };
    }
    case "function_call_output": {
      const { type, call_id, output } = item;
      const id = item.id ?? newId("fco");
      const call = typeof call_id === "string" ? { call_id } : {};
      return { id, type, status, ...call, output: output.join("\n") };
    }
    case "reasoning": {
      const content = (item.content ?? []).map(
        ({ text }) => ({ type: "reasoning_text", text }) as const,
      );
      const summary = (item.summary ?? []).map(
        ({ text }) => ({ type: "summary_text", text }) as const,
      );
      const id = item.id ?? newId("rs");
      return { id, type: "reasoning", status, summary, content };
    }
    case "item_reference":
  }
  return referred(item.id);
}

export function outputText(
  text: string,
  logprobs: NonNullable<OutputText["logprobs"]> = [],
): OutputText {
  return { type: "output_text", text, annotations: [], logprobs };
}
type OutputText = Extract<
  ResponseOutputMessage["content"][0],
  { type: "output_text" }
>;

/** What the model thinks, says and calls between two other messages is one turn. */
export function conversation(
  instructions: string | undefined,
  items: readonly Item[],
): ChatMessage[] {
  const chat: ChatMessage[] = [];
  if (instructions !== undefined)
    chat.push({ role: "system", content: instructions });
  for (const item of items) {
    const turn = turnOf(item);
    if (turn !== undefined) addTurn(chat, turn, isAssistant);
  }
  return chat;
}

const isAssistant = (role: string): boolean => role === "assistant";

function turnOf(item: Item): ChatMessage | undefined {
  switch (item.type) {
    case "message": {
      const texts = item.content.flatMap((part) =>
        "text" in part ? part.text : [],
      );
      return { role: item.role, content: contentOf(texts) };
    }
    case "function_call": {
      const { call_id, name, arguments: text } = item;
      const call = {
        id: call_id,
        type: "function",
        function: { name, arguments: text },
      };
      return { role: "assistant", content: "", tool_calls: [call] };
    }
    case "function_call_output": {
      const { call_id, output } = item;
      const call = call_id === undefined ? {} : { tool_call_id: call_id };
      const content = typeof output === "string" ? output : "";
      return { role: "tool", ...call, content };
    }
    case "reasoning":
  }
  // Clients give back what they got: an item without text says nothing here.
  const { content = [], summary } = item;
  const thoughts = content.length > 0 ? content : summary;
  const thought = thoughts.map(({ text }) => text).join("\n");
  return thought === ""
    ? undefined
    : { role: "assistant", content: "", reasoning_content: thought };
}
