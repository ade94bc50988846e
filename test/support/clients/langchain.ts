/** LangChain, with its client for OpenAI's API. */
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import {
  type Client,
  Forecast,
  FORM_TOKENS,
  MAX_TOKENS,
  MODEL,
  speaking,
  TOOL,
  TOOL_RESULT,
} from "./client.ts";

export function langchain(baseURL: string): Client {
  const chat = (maxTokens: number): ChatOpenAI =>
    new ChatOpenAI({
      model: MODEL,
      apiKey: "-",
      temperature: 0,
      maxTokens,
      maxRetries: 0,
      configuration: { baseURL },
    });
  return speaking({
    name: "LangChain",
    // Of its own copy of OpenAI's client.
    isRefusal: (error) =>
      error instanceof Error && "status" in error && error.status === 400,
    plain: async (prompt) => (await chat(MAX_TOKENS).invoke(prompt)).text,
    stream: async function* (prompt, maxTokens, signal) {
      const stream = await chat(maxTokens).stream(prompt, { signal });
      for await (const chunk of stream) yield chunk.text;
    },
    tool: async (prompt) => {
      const forecast = tool(() => TOOL_RESULT, {
        name: TOOL,
        schema: Forecast,
      });
      const question = new HumanMessage(prompt);
      const bound = (tool_choice: string) =>
        chat(FORM_TOKENS).bindTools([forecast], {
          tool_choice,
          parallel_tool_calls: false,
        });
      const called = await bound(TOOL).invoke([question]);
      const call = called.tool_calls![0]!;
      const result = new ToolMessage({
        tool_call_id: call.id!,
        content: TOOL_RESULT,
      });
      const answered = await bound("none").invoke([question, called, result]);
      return { given: call.args, answer: answered.text };
    },
    structured: (prompt) =>
      chat(FORM_TOKENS)
        .withStructuredOutput(Forecast, { name: TOOL, method: "jsonSchema" })
        .invoke(prompt),
  });
}
