/** Anthropic's client for JavaScript. */
import { type Anthropic, BadRequestError } from "@anthropic-ai/sdk";
import {
  type Client,
  FORECAST,
  FORM_TOKENS,
  MAX_TOKENS,
  MODEL,
  speaking,
  TOOL,
  TOOL_RESULT,
} from "./client.ts";

const textOf = ({ content }: Anthropic.Message): string =>
  content.map((block) => (block.type === "text" ? block.text : "")).join("");

export function anthropicMessages({ messages }: Anthropic): Client {
  const asked = (content: string) => ({
    model: MODEL,
    temperature: 0,
    max_tokens: MAX_TOKENS,
    messages: [{ role: "user" as const, content }],
  });
  return speaking({
    name: "@anthropic-ai/sdk",
    isRefusal: (error) => error instanceof BadRequestError,
    plain: async (prompt) => textOf(await messages.create(asked(prompt))),
    stream: async function* (prompt, max_tokens, signal) {
      const request = { ...asked(prompt), max_tokens, stream: true as const };
      for await (const event of await messages.create(request, { signal }))
        if (
          event.type === "content_block_delta" &&
          event.delta.type === "text_delta"
        )
          yield event.delta.text;
    },
    tool: async (prompt) => {
      const calling = {
        ...asked(prompt),
        max_tokens: FORM_TOKENS,
        tools: [{ name: TOOL, input_schema: FORECAST }],
      };
      const request = {
        ...calling,
        tool_choice: {
          type: "tool" as const,
          name: TOOL,
          disable_parallel_tool_use: true,
        },
      };
      const { content } = await messages.create(request);
      const use = content.find((block) => block.type === "tool_use")!;
      const answered = await messages.create({
        ...calling,
        tool_choice: { type: "none" },
        max_tokens: MAX_TOKENS,
        messages: [
          ...calling.messages,
          { role: "assistant", content },
          {
            role: "user",
            content: [
              {
                type: "tool_result",
                tool_use_id: use.id,
                content: TOOL_RESULT,
              },
            ],
          },
        ],
      });
      return { given: use.input, answer: textOf(answered) };
    },
    structured: async (prompt) => {
      const format = { type: "json_schema" as const, schema: FORECAST };
      const answered = await messages.create({
        ...asked(prompt),
        max_tokens: FORM_TOKENS,
        output_config: { format },
      });
      return JSON.parse(textOf(answered)) as unknown;
    },
  });
}
