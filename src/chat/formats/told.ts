/** What a template does not show of tools, calls and their results, told in words, as llama.cpp does. */
import { createHash } from "node:crypto";
import { contentText } from "../chat-messages.ts";
import type {
  ChatMessage,
  Json,
  Supported,
  ToolCall,
} from "../chat-template.ts";

/** Calls and results as text, where the template would lose them; and their ids short, where it refuses others. */
export function shownMessages(
  messages: readonly ChatMessage[],
  { toolCalls, toolResults }: Supported,
  hasShortIds: boolean,
): ChatMessage[] {
  return messages.map((message) => {
    const { role, content, tool_calls: calls = [] } = message;
    if (calls.length > 0 && !toolCalls) {
      return { role, content: callsAsText(message) };
    }
    if (role === "tool" && !toolResults) {
      const { name, tool_call_id: id } = message;
      const response = { name, id, content: contentText(content) };
      return { role: "user", content: pretty({ tool_response: response }) };
    }
    return hasShortIds ? withShortIds(message) : message;
  });
}

/** Mistral's templates refuse ids that are not nine letters and digits. */
export const takesShortIds = (source: string): boolean =>
  /length\s*!=\s*9/.test(source);

function withShortIds(message: ChatMessage): ChatMessage {
  const { tool_calls: calls, tool_call_id: id } = message;
  return {
    ...message,
    ...(calls && { tool_calls: calls.map(withShortId) }),
    ...(id !== undefined && { tool_call_id: shortId(id) }),
  };
}

function withShortId(call: ToolCall): ToolCall {
  const { id } = call;
  return typeof id === "string" ? { ...call, id: shortId(id) } : call;
}

/** An id from elsewhere becomes a short one, always the same. */
function shortId(id: string): string {
  if (/^[A-Za-z0-9]{9}$/.test(id)) return id;
  return createHash("sha256").update(id).digest("hex").slice(0, 9);
}

/** A system message tells of the tools and how to call them. Without an example of a call, in the form for templates without tools. */
export function withTools(
  messages: readonly ChatMessage[],
  tools: readonly Json[],
  example: string | undefined,
): ChatMessage[] {
  const words = [
    "You can call any of the following tools to satisfy the user's requests:",
    pretty(tools),
    ...(example === undefined
      ? [
          'Respond in JSON format, either with `tool_calls` (a request to call tools): {"tool_calls": [{"name": "…", "arguments": {…}}]}',
          'or with `response` (the reply to the user\'s request): {"response": "…"}',
        ]
      : ["Example tool call syntax:", example]),
  ].join("\n\n");
  const [first, ...rest] = messages;
  if (first?.role !== "system") {
    return [{ role: "system", content: words }, ...messages];
  }
  const content = `${contentText(first.content)}\n\n${words}`;
  return [{ ...first, content }, ...rest];
}

function callsAsText({ content, tool_calls: calls = [] }: ChatMessage): string {
  const tool_calls = calls.map(
    ({ id, function: { name, arguments: given } }) => ({
      id,
      name,
      arguments: typeof given === "string" ? parsed(given) : given,
    }),
  );
  const text = contentText(content);
  return pretty({ tool_calls, ...(text !== "" && { content: text }) });
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

const pretty = (value: unknown): string => JSON.stringify(value, undefined, 2);
