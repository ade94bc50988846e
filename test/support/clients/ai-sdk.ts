/** Vercel's AI SDK, with its provider for servers that speak OpenAI's API. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  generateObject,
  generateText,
  stepCountIs,
  streamText,
  tool,
} from "ai";
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

export function aiSdk(baseURL: string): Client {
  const name = "shoal";
  const supportsStructuredOutputs = true;
  const provider = { name, baseURL, supportsStructuredOutputs };
  const common = {
    model: createOpenAICompatible(provider)(MODEL),
    temperature: 0,
    maxOutputTokens: MAX_TOKENS,
    maxRetries: 0,
  };
  return speaking({
    name: "AI SDK",
    isRefusal: (error) =>
      APICallError.isInstance(error) && error.statusCode === 400,
    plain: async (prompt) => (await generateText({ ...common, prompt })).text,
    stream: (prompt, maxOutputTokens, abortSignal) =>
      streamText({ ...common, prompt, maxOutputTokens, abortSignal })
        .textStream,
    tool: async (prompt) => {
      const given: unknown[] = [];
      const forecast = tool({
        inputSchema: Forecast,
        execute: (place) => {
          given.push(place);
          return TOOL_RESULT;
        },
      });
      const { text } = await generateText({
        ...common,
        prompt,
        maxOutputTokens: FORM_TOKENS,
        tools: { [TOOL]: forecast },
        toolChoice: { type: "tool", toolName: TOOL },
        providerOptions: { [name]: { parallel_tool_calls: false } },
        stopWhen: stepCountIs(2),
        prepareStep: ({ stepNumber }) =>
          stepNumber === 0 ? {} : { toolChoice: "none" },
      });
      return { given: given[0], answer: text };
    },
    structured: async (prompt) => {
      const { object } = await generateObject({
        ...common,
        prompt,
        maxOutputTokens: FORM_TOKENS,
        schema: Forecast,
      });
      return object;
    },
  });
}
