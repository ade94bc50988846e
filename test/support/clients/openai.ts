/** OpenAI's client for JavaScript, with chats and with responses. */
import { BadRequestError, type OpenAI } from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import {
  type Client,
  FORECAST,
  Forecast,
  FORM_TOKENS,
  MAX_TOKENS,
  MODEL,
  speaking,
  TOOL,
  TOOL_RESULT,
} from "./client.ts";

const isRefusal = (error: unknown): boolean =>
  error instanceof BadRequestError && error.code === "context_length_exceeded";

export function openaiChat({ chat: { completions } }: OpenAI): Client {
  const asked = (content: string) => ({
    model: MODEL,
    temperature: 0,
    max_tokens: MAX_TOKENS,
    messages: [{ role: "user" as const, content }],
  });
  return speaking({
    name: "openai, chats",
    isRefusal,
    plain: async (prompt) => {
      const { choices } = await completions.create(asked(prompt));
      return choices[0]?.message.content ?? "";
    },
    stream: async function* (prompt, max_tokens, signal) {
      const request = { ...asked(prompt), max_tokens, stream: true as const };
      for await (const chunk of await completions.create(request, { signal }))
        yield chunk.choices[0]?.delta.content ?? "";
    },
    tool: async (prompt) => {
      const calling = {
        ...asked(prompt),
        max_tokens: FORM_TOKENS,
        parallel_tool_calls: false,
        tools: [
          {
            type: "function" as const,
            function: { name: TOOL, parameters: FORECAST },
          },
        ],
      };
      const { choices } = await completions.create({
        ...calling,
        tool_choice: "required",
      });
      const message = choices[0]!.message;
      const [call] = message.tool_calls ?? [];
      if (call?.type !== "function")
        throw new Error(`no call, but ${JSON.stringify(message)}`);
      const answered = await completions.create({
        ...calling,
        tool_choice: "none",
        max_tokens: MAX_TOKENS,
        messages: [
          ...calling.messages,
          message,
          { role: "tool", tool_call_id: call.id, content: TOOL_RESULT },
        ],
      });
      return {
        given: JSON.parse(call.function.arguments) as unknown,
        answer: answered.choices[0]?.message.content ?? "",
      };
    },
    structured: async (prompt) => {
      const { choices } = await completions.parse({
        ...asked(prompt),
        max_tokens: FORM_TOKENS,
        response_format: zodResponseFormat(Forecast, TOOL),
      });
      return choices[0]?.message.parsed;
    },
  });
}

export function openaiResponses({ responses }: OpenAI): Client {
  const asked = (input: string) => ({
    model: MODEL,
    temperature: 0,
    max_output_tokens: MAX_TOKENS,
    input,
  });
  return speaking({
    name: "openai, responses",
    isRefusal,
    plain: async (prompt) =>
      (await responses.create(asked(prompt))).output_text,
    stream: async function* (prompt, max_output_tokens, signal) {
      const request = { ...asked(prompt), max_output_tokens };
      const stream = await responses.create(
        { ...request, stream: true },
        { signal },
      );
      for await (const event of stream)
        if (event.type === "response.output_text.delta") yield event.delta;
    },
    tool: async (prompt) => {
      const calling = {
        ...asked(prompt),
        max_output_tokens: FORM_TOKENS,
        parallel_tool_calls: false,
        tools: [
          {
            type: "function" as const,
            name: TOOL,
            parameters: FORECAST,
            strict: true,
          },
        ],
      };
      const { id, output } = await responses.create({
        ...calling,
        tool_choice: { type: "function", name: TOOL },
      });
      const call = output.find(({ type }) => type === "function_call");
      if (call?.type !== "function_call")
        throw new Error(`no call, but ${JSON.stringify(output)}`);
      const { call_id } = call;
      const answered = await responses.create({
        ...calling,
        previous_response_id: id,
        tool_choice: "none",
        max_output_tokens: MAX_TOKENS,
        input: [{ type: "function_call_output", call_id, output: TOOL_RESULT }],
      });
      return {
        given: JSON.parse(call.arguments) as unknown,
        answer: answered.output_text,
      };
    },
    structured: async (prompt) => {
      const { output_parsed: parsed } = await responses.parse({
        ...asked(prompt),
        max_output_tokens: FORM_TOKENS,
        text: { format: zodTextFormat(Forecast, TOOL) },
      });
      return parsed;
    },
  });
}
