/** What a template does not show of tools, calls and their results, told in words, as llama.cpp does. */
import { contentText } from "../chat-messages.ts";
import type { ChatMessage, Json, Supported } from "../chat-template.ts";

/** Calls and results as text, where the template would lose them. */
export function shownMessages(
  messages: readonly ChatMessage[],
  { toolCalls, toolResults }: Supported,
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
    return message;
  });
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
