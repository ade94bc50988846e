import assert from "node:assert/strict";
import { test } from "node:test";
import { templatesOf } from "./loaded-model.ts";

test("a model's templates are found by their names, and only texts count", () => {
  const all = new Map<string, { value: unknown }>([
    ["tokenizer.chat_template", { value: "default" }],
    ["tokenizer.chat_template.tool_use", { value: "tools" }],
    ["tokenizer.chat_template.rag", { value: "documents" }],
    ["tokenizer.chat_templates", { value: ["tool_use", "rag"] }],
  ]);
  assert.deepEqual(templatesOf(all), {
    chatTemplate: "default",
    namedTemplates: { tool_use: "tools", rag: "documents" },
  });
  const odd = new Map([["tokenizer.chat_template", { value: ["a"] }]]);
  assert.deepEqual(templatesOf(odd), {
    chatTemplate: undefined,
    namedTemplates: { tool_use: undefined, rag: undefined },
  });
});
