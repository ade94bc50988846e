/**
 * The official clients as they are, against a real swarm of two nodes with a model of random weights: OpenAI's, Vercel's AI SDK and LangChain. Plain and
 * streamed replies, tools (a tool that must be called makes any model call it), structured output, errors, and an abort in the middle.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { HumanMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { generateObject, generateText, streamText, tool } from "ai";
import OpenAI, { BadRequestError } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { CHATML } from "../fakes/backend.ts";
import { temporaryFolder } from "../support/folder.ts";
import { writeRandomModel } from "../support/models.ts";
import { startSwarmHere } from "../support/swarm-here.ts";

const model = "Random weights";
/** A token of the model is a byte, so tools take thousands. */
const CONTEXT = 8192;
const prompt = "Tell me a story.";
const messages = [{ role: "user" as const, content: prompt }];
const Person = z.object({
  name: z.string().max(12),
  age: z.number().int().min(0).max(120),
  mood: z.enum(["glad", "sad"]),
});
const Place = z.object({ city: z.enum(["Oslo", "Rome"]) });
const parameters = {
  type: "object",
  properties: { city: { type: "string", enum: ["Oslo", "Rome"] } },
  required: ["city"],
  additionalProperties: false,
};

test("official clients, with a model of random weights on two nodes", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, {
    layers: 2,
    vocab: "bytes",
    contextLength: CONTEXT,
    chatTemplate: CHATML,
  });
  const url = await startSwarmHere(t, {
    model: path,
    nodes: 2,
    contextLength: CONTEXT,
  });
  const baseURL = `${url}/v1`;
  const openai = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
  const compatible = createOpenAICompatible({
    name: "shoal",
    baseURL,
    supportsStructuredOutputs: true,
  })(model);
  const langchain = new ChatOpenAI({
    model,
    apiKey: "none",
    temperature: 0,
    maxTokens: 1500,
    maxRetries: 0,
    configuration: { baseURL },
  });

  await t.test("openai: a schema of zod is parsed", async () => {
    const reply = await openai.chat.completions.parse({
      model,
      messages,
      response_format: zodResponseFormat(Person, "person"),
      max_completion_tokens: 1500,
    });
    assert.ok(Person.safeParse(reply.choices[0]?.message.parsed).success);
  });

  await t.test("openai: a tool is called, and hears its result", async () => {
    const tools = [
      {
        type: "function" as const,
        function: { name: "weather", description: "Of a city", parameters },
      },
    ];
    const first = await openai.chat.completions.create({
      model,
      messages,
      tools,
      tool_choice: "required",
      max_completion_tokens: 1500,
    });
    const [choice] = first.choices;
    assert.equal(choice?.finish_reason, "tool_calls");
    const [call] = choice.message.tool_calls ?? [];
    assert.ok(call?.type === "function");
    assert.equal(call.function.name, "weather");
    assert.ok(Place.safeParse(JSON.parse(call.function.arguments)).success);
    const second = await openai.chat.completions.create({
      model,
      messages: [
        ...messages,
        choice.message,
        { role: "tool", tool_call_id: call.id, content: "rain" },
      ],
      tools,
      tool_choice: "none",
      max_completion_tokens: 16,
    });
    assert.ok((second.choices[0]?.message.content ?? "").length > 0);
  });

  await t.test("openai: runTools runs the tool", async () => {
    const asked: unknown[] = [];
    const runner = openai.chat.completions.runTools({
      model,
      messages,
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            description: "Of a city",
            parameters,
            parse: JSON.parse,
            function: (place: unknown) => {
              asked.push(place);
              return "rain";
            },
          },
        },
      ],
      tool_choice: { type: "function", function: { name: "weather" } },
      max_completion_tokens: 1500,
    });
    await runner.done();
    assert.ok(Place.safeParse(asked[0]).success, JSON.stringify(asked));
  });

  await t.test("openai: an error, and an abort in the middle", async () => {
    await assert.rejects(
      openai.chat.completions.create({
        model,
        messages,
        response_format: {
          type: "json_schema",
          json_schema: { name: "no", schema: { not: {} } },
        },
      }),
      (error) =>
        error instanceof BadRequestError && /\$\.not/.test(error.message),
    );
    const stream = await openai.chat.completions.create({
      model,
      messages,
      stream: true,
      max_completion_tokens: 600,
    });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 5) break;
    assert.ok(stream.controller.signal.aborted);
  });

  await t.test("AI SDK: text, stream, object, tool", async () => {
    const common = {
      model: compatible,
      prompt,
      maxOutputTokens: 1500,
      maxRetries: 0,
    };
    const whole = await generateText({
      ...common,
      temperature: 0,
      maxOutputTokens: 16,
    });
    assert.ok(whole.text.length > 0);
    const streamed = streamText({
      ...common,
      temperature: 0,
      maxOutputTokens: 16,
    });
    let text = "";
    for await (const piece of streamed.textStream) text += piece;
    assert.equal(text, whole.text);
    const { object } = await generateObject({ ...common, schema: Person });
    assert.ok(Person.safeParse(object).success);
    const called = await generateText({
      ...common,
      tools: {
        weather: tool({
          inputSchema: Place,
          execute: () => Promise.resolve("rain"),
        }),
      },
      toolChoice: { type: "tool", toolName: "weather" },
    });
    assert.equal(called.toolResults[0]?.output, "rain");
  });

  await t.test("LangChain: text, stream, structured output, tool", async () => {
    const question = [new HumanMessage(prompt)];
    const whole = await langchain.invoke(question);
    assert.ok(whole.text.length > 0);
    let text = "";
    for await (const chunk of await langchain.stream(question))
      text += chunk.text;
    assert.equal(text, whole.text);
    const person = await langchain
      .withStructuredOutput(Person, { name: "person", method: "jsonSchema" })
      .invoke(question);
    assert.ok(Person.safeParse(person).success);
    const weather = langchainTool(() => "rain", {
      name: "weather",
      schema: Place,
    });
    const called = await langchain
      .bindTools([weather], { tool_choice: "weather" })
      .invoke(question);
    assert.equal(called.tool_calls?.[0]?.name, "weather");
    assert.ok(Place.safeParse(called.tool_calls?.[0]?.args).success);
  });
});
