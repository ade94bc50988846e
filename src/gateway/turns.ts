/** Turns of a conversation that an API gives in pieces. */
import type { ChatMessage, ContentPart } from "../chat/index.ts";

/** Joined to the last turn, if both are of a role that `joins`. */
export function addTurn(
  chat: ChatMessage[],
  message: ChatMessage,
  joins: (role: string) => boolean,
): void {
  const last = chat.at(-1);
  if (last?.role === message.role && joins(message.role))
    chat[chat.length - 1] = joined(last, message);
  else chat.push(message);
}

/** One part is a string; more are a list, of which templates that take no lists get one line each. */
export function contentOf(
  texts: readonly string[],
): string | readonly ContentPart[] {
  const [first, ...more] = texts;
  if (first === undefined || more.length === 0) return first ?? "";
  return texts.map((text) => ({ type: "text", text }));
}

/** Templates know three of the APIs' words, and "none" and "minimal" for no thinking. */
export const effortOf = (effort: string | undefined): string | undefined =>
  effort === "xhigh" || effort === "max" ? "high" : effort;

function joined(before: ChatMessage, after: ChatMessage): ChatMessage {
  const both = [before, after];
  const calls = both.flatMap(({ tool_calls }) => tool_calls ?? []);
  const thoughts = both.flatMap((turn) => turn.reasoning_content ?? []);
  return {
    role: before.role,
    content: contentOf(both.flatMap(({ content }) => textsOf(content))),
    ...(thoughts.length > 0 && { reasoning_content: thoughts.join("\n") }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function textsOf(content: ChatMessage["content"]): string[] {
  if (typeof content === "string") return content === "" ? [] : [content];
  return (content ?? []).flatMap(({ text }) => text ?? []);
}
