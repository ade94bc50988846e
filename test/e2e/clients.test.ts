/**
 * The official clients as they are, against a real swarm of two nodes with the demo model: each client of the list does each case of the table. OpenAI's
 * for JavaScript and Python, Anthropic's, Ollama's, Vercel's AI SDK and LangChain; then what one of them alone has.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { Events } from "../../src/lib/index.ts";
import { aiSdk } from "../support/clients/ai-sdk.ts";
import { anthropicMessages } from "../support/clients/anthropic.ts";
import {
  type Client,
  FORECAST,
  Forecast,
  FORM_TOKENS,
  MAX_TOKENS,
  MODEL,
  TEMPLATE,
  TOO_LONG,
  TOOL,
  TOOL_RESULT,
} from "../support/clients/client.ts";
import { langchain } from "../support/clients/langchain.ts";
import { ollamaChat } from "../support/clients/ollama.ts";
import { openaiChat, openaiResponses } from "../support/clients/openai.ts";
import { openaiPython, pythonWithOpenai } from "../support/clients/python.ts";
import { temporaryFolder } from "../support/folder.ts";
import { withTemplate } from "../support/models.ts";
import { startSwarmHere } from "../support/swarm-here.ts";
import { DEMO_MODEL } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const prompt = "Tell me a story.";

/** How many clients left a reply before its end, as the gateway saw it. */
type Left = () => number;

const CASES: Readonly<
  Record<string, (client: Client, left: Left) => Promise<void>>
> = {
  "plain, and streamed the same": async (client) => {
    const whole = await client.plain(prompt);
    assert.notEqual(whole, "");
    const pieces = (await client.streamed(prompt)).filter((one) => one !== "");
    assert.equal(pieces.join(""), whole);
    assert.ok(pieces.length > MAX_TOKENS / 4, `${pieces.length} pieces`);
  },
  "a tool's round trip": async (client) => {
    const { given, answer } = await client.tool!(prompt);
    Forecast.parse(given);
    assert.notEqual(answer, "");
  },
  "structured output": async (client) => {
    Forecast.parse(await client.structured(prompt));
  },
  "an error": async (client) => {
    await assert.rejects(client.plain("x ".repeat(600)), (error) => {
      assert.ok(client.isRefusal(error), String(error));
      assert.match(String(error), TOO_LONG);
      return true;
    });
  },
  "an abort in the middle; the swarm goes on": async (client, left) => {
    const before = left();
    await client.leave(prompt);
    await until("the gateway to see it", () => left() > before);
    assert.notEqual(await client.plain(prompt), "");
  },
};

const python = await pythonWithOpenai();

test("official clients, with the demo model on two nodes", async (t) => {
  const model = join(await temporaryFolder(t), "demo.gguf");
  await withTemplate(DEMO_MODEL, TEMPLATE, model);
  const events = new Events();
  let left = 0;
  events.subscribe(({ message }) => {
    if (message === "client left before the end") left++;
  });
  const how = { model, nodes: 2, contextLength: 512, gatewayEvents: events };
  const url = await startSwarmHere(t, how);
  const baseURL = `${url}/v1`;
  const common = { apiKey: "-", maxRetries: 0 };
  const openai = new OpenAI({ ...common, baseURL });
  const anthropic = new Anthropic({ ...common, baseURL: url });
  const clients = [
    openaiChat(openai),
    openaiResponses(openai),
    anthropicMessages(anthropic),
    ollamaChat(url),
    aiSdk(baseURL),
    langchain(baseURL),
    ...(python.path !== undefined
      ? [openaiPython(t, python.path, baseURL)]
      : []),
  ];
  for (const client of clients)
    await t.test(client.name, async (t) => {
      for (const [what, run] of Object.entries(CASES)) {
        // Ollama's API has no way to tell a model to call.
        if (what === "a tool's round trip" && client.tool === undefined)
          continue;
        await t.test(what, () => run(client, () => left));
      }
    });
  if (python.missing !== undefined)
    await t.test("openai for Python", { skip: python.missing });

  await t.test("openai: runTools runs the tool", async () => {
    const asked: unknown[] = [];
    const runner = openai.chat.completions.runTools({
      model: MODEL,
      messages: [{ role: "user", content: prompt }],
      tools: [
        {
          type: "function",
          function: {
            name: TOOL,
            description: "Of a city",
            parameters: FORECAST,
            parse: JSON.parse,
            function: (place: unknown) => {
              asked.push(place);
              return TOOL_RESULT;
            },
          },
        },
      ],
      tool_choice: { type: "function", function: { name: TOOL } },
      parallel_tool_calls: false,
      max_tokens: FORM_TOKENS,
    });
    await runner.done();
    Forecast.parse(asked[0]);
  });

  await t.test("openai: a response is gone on from", async () => {
    const { responses } = openai;
    const asked = { model: MODEL, max_output_tokens: 2 };
    const first = await responses.create({ ...asked, input: prompt });
    const next = await responses.create({
      ...asked,
      previous_response_id: first.id,
      input: "And then?",
    });
    const before = first.usage?.total_tokens ?? Infinity;
    assert.ok((next.usage?.input_tokens ?? 0) > before);
  });

  await t.test("Anthropic: counted, and a beginning gone on with", async () => {
    const { messages } = anthropic;
    const user = { role: "user" as const, content: prompt };
    const prompted = { model: MODEL, messages: [user] };
    const asked = { ...prompted, max_tokens: MAX_TOKENS, temperature: 0 };
    const whole = await messages.create(asked);
    const { input_tokens: counted } = await messages.countTokens(prompted);
    const { input_tokens, cache_read_input_tokens: cached } = whole.usage;
    assert.equal(counted, input_tokens + (cached ?? 0));
    const [block] = whole.content;
    assert.ok(block?.type === "text");
    const begun = block.text.slice(0, block.text.indexOf(" ", 12));
    const rest = await messages.create({
      ...asked,
      messages: [user, { role: "assistant", content: begun }],
    });
    const [more] = rest.content;
    assert.ok(more?.type === "text");
    assert.ok((begun + more.text).startsWith(block.text), begun + more.text);
  });
});
