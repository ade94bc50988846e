/**
 * Anthropic's and OpenAI's official clients, the one with messages, the other with responses, against a real swarm of two nodes with the demo
 * model: whole and streamed, a beginning that is gone on with, a tool's round trip, structured output, an error, an abort.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import Anthropic, { BadRequestError } from "@anthropic-ai/sdk";
import OpenAI, { BadRequestError as OpenAIBadRequestError } from "openai";
import { temporaryFolder } from "../support/folder.ts";
import { withTemplate } from "../support/models.ts";
import { startSwarmHere } from "../support/swarm-here.ts";
import { DEMO_MODEL } from "../support/swarm.ts";

const model = "Shoal demo";
const prompt = "Tell me a story.";
/** Any reply that keeps to it is short. */
const schema = {
  type: "object" as const,
  properties: {
    city: { enum: ["Bern", "Rome"] },
    days: { type: "integer", minimum: 1, maximum: 9 },
  },
  required: ["city", "days"],
  additionalProperties: false,
};

/** The demo model's own, with tools as Hermes' models are told of them: without, they are told in words that fill half of its context. */
const TEMPLATE =
  "{%- for tool in tools -%}{{- tool.function|tojson -}}{%- endfor -%}{%- for m in messages -%}{{- '<|' + m.role + '|>' + (m.content or '')|trim -}}{%- for call in m.tool_calls -%}{{- '<tool_call>' + call.function|tojson + '</tool_call>' -}}{%- endfor -%}{{- '</s>' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}";

/** Throws if it is not what the schema says. */
function checkForecast(given: unknown): void {
  const { city, days, ...more } = given as { city: string; days: number };
  assert.ok(schema.properties.city.enum.includes(city), city);
  assert.ok(Number.isInteger(days) && days >= 1 && days <= 9, String(days));
  assert.deepEqual(more, {});
}

test("Anthropic's and OpenAI's clients, with the demo model on two nodes", async (t) => {
  const copy = join(await temporaryFolder(t), "demo.gguf");
  await withTemplate(DEMO_MODEL, TEMPLATE, copy);
  const url = await startSwarmHere(t, {
    model: copy,
    nodes: 2,
    contextLength: 512,
  });

  await t.test("messages", async (t) => {
    const { messages } = new Anthropic({
      baseURL: url,
      apiKey: "-",
      maxRetries: 0,
    });
    const asked = {
      model,
      max_tokens: 24,
      temperature: 0,
      messages: [{ role: "user" as const, content: prompt }],
    };
    const tool = { name: "forecast", input_schema: schema };

    await t.test("whole, streamed and counted alike", async () => {
      const whole = await messages.create(asked);
      assert.equal(whole.stop_reason, "max_tokens");
      assert.equal(whole.usage.output_tokens, 24);
      const streamed = await messages.stream(asked).finalMessage();
      const { usage } = whole;
      assert.deepEqual(
        streamed.content.map((block) => block.type === "text" && block.text),
        whole.content.map((block) => block.type === "text" && block.text),
      );
      const { max_tokens: _, temperature: __, ...prompted } = asked;
      const counted = await messages.countTokens(prompted);
      assert.equal(
        counted.input_tokens,
        usage.input_tokens + (usage.cache_read_input_tokens ?? 0),
      );
    });

    await t.test("a beginning is gone on with", async () => {
      const whole = await messages.create(asked);
      const [block] = whole.content;
      assert.ok(block?.type === "text");
      const begun = block.text.slice(0, block.text.indexOf(" ", 12));
      const rest = await messages.create({
        ...asked,
        messages: [...asked.messages, { role: "assistant", content: begun }],
      });
      const [more] = rest.content;
      assert.ok(more?.type === "text");
      assert.ok((begun + more.text).startsWith(block.text), begun + more.text);
    });

    await t.test("a tool's round trip, whole and streamed", async () => {
      const calling = {
        ...asked,
        max_tokens: 100,
        tools: [tool],
        tool_choice: {
          type: "tool" as const,
          name: "forecast",
          disable_parallel_tool_use: true,
        },
      };
      const whole = await messages.create(calling);
      const streamed = await messages.stream(calling).finalMessage();
      for (const { content, stop_reason: reason } of [whole, streamed]) {
        assert.equal(reason, "tool_use", JSON.stringify(content));
        const use = content.find((block) => block.type === "tool_use");
        assert.equal(use?.name, "forecast");
        checkForecast(use.input);
      }
      const use = whole.content.find((block) => block.type === "tool_use");
      const answered = await messages.create({
        ...calling,
        max_tokens: 8,
        tool_choice: { type: "none" },
        messages: [
          ...asked.messages,
          { role: "assistant", content: whole.content },
          {
            role: "user",
            content: [
              { type: "tool_result", tool_use_id: use!.id, content: "Sunny." },
            ],
          },
        ],
      });
      assert.equal(answered.content[0]?.type, "text");
    });

    await t.test("structured output", async () => {
      const { content } = await messages.create({
        ...asked,
        max_tokens: 100,
        output_config: { format: { type: "json_schema", schema } },
      });
      const [block] = content;
      assert.ok(block?.type === "text");
      checkForecast(JSON.parse(block.text));
    });

    await t.test("an error", async () => {
      const long = { role: "user" as const, content: "x ".repeat(600) };
      await assert.rejects(
        messages.create({ ...asked, messages: [long] }),
        (error) => {
          assert.ok(error instanceof BadRequestError, String(error));
          assert.match(error.message, /limited to 512/);
          return true;
        },
      );
    });

    await t.test("an abort in the middle; the swarm goes on", async () => {
      const stream = messages.stream({ ...asked, max_tokens: 400 });
      stream.once("text", () => stream.abort());
      await assert.rejects(stream.done());
      const next = await messages.create({ ...asked, max_tokens: 2 });
      assert.equal(next.usage.output_tokens, 2);
    });
  });

  await t.test("responses", async (t) => {
    const { responses } = new OpenAI({
      baseURL: `${url}/v1`,
      apiKey: "-",
      maxRetries: 0,
    });
    const asked = {
      model,
      input: prompt,
      max_output_tokens: 24,
      temperature: 0,
    };
    const tool = {
      type: "function" as const,
      name: "forecast",
      parameters: schema,
      strict: true,
    };

    await t.test("whole and streamed alike, and gone on from", async () => {
      const whole = await responses.create(asked);
      assert.equal(whole.status, "incomplete");
      assert.equal(whole.usage?.output_tokens, 24);
      const streamed = await responses.stream(asked).finalResponse();
      assert.equal(streamed.output_text, whole.output_text);
      const next = await responses.create({
        ...asked,
        previous_response_id: whole.id,
        input: "And then?",
        max_output_tokens: 2,
      });
      const before = whole.usage?.total_tokens ?? Infinity;
      assert.ok((next.usage?.input_tokens ?? 0) > before);
    });

    await t.test("a tool's round trip, whole and streamed", async () => {
      const calling = {
        ...asked,
        max_output_tokens: 100,
        tools: [tool],
        parallel_tool_calls: false,
        tool_choice: { type: "function" as const, name: "forecast" },
      };
      const whole = await responses.create(calling);
      const streamed = await responses.stream(calling).finalResponse();
      for (const { output, status } of [whole, streamed]) {
        assert.equal(status, "completed", JSON.stringify(output));
        const call = output.find(({ type }) => type === "function_call");
        assert.ok(call?.type === "function_call");
        assert.equal(call.name, "forecast");
        checkForecast(JSON.parse(call.arguments));
      }
      const call = whole.output.find(({ type }) => type === "function_call");
      assert.ok(call?.type === "function_call");
      const answered = await responses.create({
        ...calling,
        previous_response_id: whole.id,
        max_output_tokens: 8,
        tool_choice: "none",
        input: [
          {
            type: "function_call_output",
            call_id: call.call_id,
            output: "Sunny.",
          },
        ],
      });
      assert.notEqual(answered.output_text, "");
    });

    await t.test("structured output", async () => {
      const format = { type: "json_schema" as const, name: "forecast", schema };
      const { output_parsed: parsed } = await responses.parse({
        ...asked,
        max_output_tokens: 100,
        text: { format: { ...format, strict: true } },
      });
      checkForecast(parsed);
    });

    await t.test("an error", async () => {
      const input = "x ".repeat(600);
      await assert.rejects(responses.create({ ...asked, input }), (error) => {
        assert.ok(error instanceof OpenAIBadRequestError, String(error));
        assert.equal(error.code, "context_length_exceeded");
        return true;
      });
    });

    await t.test("an abort in the middle; the swarm goes on", async () => {
      const stream = responses.stream({ ...asked, max_output_tokens: 400 });
      stream.once("response.output_text.delta", () => stream.abort());
      await assert.rejects(stream.done());
      const next = await responses.create({ ...asked, max_output_tokens: 2 });
      assert.equal(next.usage?.output_tokens, 2);
    });
  });
});
