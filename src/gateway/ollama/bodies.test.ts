/** Bodies as clients send them, and the lines of the answers against the fields that Ollama has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import type { SamplingOptions } from "../../engine/index.ts";
import { inProcess } from "../../../test/fakes/gateway.ts";
import { chat, OLLAMA_CASES } from "../../../test/fakes/ollama-bodies.ts";
import { sessionStatus } from "../../../test/fakes/session.ts";

test("bodies as clients send them", async (t) => {
  assert.ok(OLLAMA_CASES.length >= 50);
  for (const { path = "/api/chat", body, ...facts } of OLLAMA_CASES) {
    await t.test(facts.name, async () => {
      const { backend, post } = inProcess();
      backend.contextLength = facts.contextLength ?? 100;
      const whole =
        typeof body === "object" && !Array.isArray(body)
          ? { stream: false, ...body }
          : body;
      const answer = await post(path, whole);
      const said = answer.json<{ error?: unknown }>();
      const { status = 200 } = facts;
      assert.equal(answer.statusCode, status, answer.body);
      if (status !== 200) {
        assert.match(said.error as string, facts.says!);
        assert.equal(backend.requests.length, 0);
        return;
      }
      const [request] = backend.requests;
      if (facts.prompt !== undefined)
        assert.equal(backend.lastPrompt, facts.prompt);
      if (facts.maxTokens !== undefined)
        assert.equal(request?.maxTokens, facts.maxTokens);
      for (const [name, value] of Object.entries(facts.sampling ?? {}))
        assert.equal(
          request?.sampling[name as keyof SamplingOptions],
          value,
          name,
        );
    });
  }
});

const metrics = {
  total_duration: z.int().min(0),
  load_duration: z.int().min(0).optional(),
  prompt_eval_count: z.int().min(1),
  prompt_eval_duration: z.int().min(0).optional(),
  eval_count: z.int().min(1),
  eval_duration: z.int().min(0).optional(),
};
const head = { model: z.string(), created_at: z.iso.datetime() };
const callSchema = z.strictObject({
  id: z.string(),
  function: z.strictObject({
    index: z.int(),
    name: z.string(),
    arguments: z.record(z.string(), z.unknown()),
  }),
});
const message = z.strictObject({
  role: z.literal("assistant"),
  content: z.string(),
  thinking: z.string().optional(),
  tool_calls: z.array(callSchema).optional(),
});
const reasons = z.enum(["stop", "length"]);
/** As api/types.go of ollama/ollama at fb307609 has them. */
const LINES = {
  "/api/chat": [
    z.strictObject({ ...head, message, done: z.literal(false) }),
    z.strictObject({
      ...head,
      message,
      done: z.literal(true),
      done_reason: reasons,
      ...metrics,
    }),
  ],
  "/api/generate": [
    z.strictObject({
      ...head,
      response: z.string(),
      thinking: z.string().optional(),
      done: z.literal(false),
    }),
    z.strictObject({
      ...head,
      response: z.string(),
      done: z.literal(true),
      done_reason: reasons,
      ...metrics,
    }),
  ],
} as const;

for (const path of ["/api/chat", "/api/generate"] as const) {
  test(`each line of ${path} has Ollama's fields and no others`, async () => {
    const { backend, post } = inProcess();
    backend.session = () => sessionStatus();
    const answer = await post(path, { ...chat({}), prompt: "Hi" });
    assert.match(
      String(answer.headers["content-type"]),
      /application\/x-ndjson/,
    );
    const lines = answer.body.split("\n");
    assert.equal(lines.pop(), "");
    const [line, last] = LINES[path];
    for (const [index, text] of lines.entries()) {
      const schema = index === lines.length - 1 ? last : line;
      schema.parse(JSON.parse(text));
    }
    const end = last.parse(JSON.parse(lines.at(-1)!));
    // 2 ms until it had a route, 5 ms more until the first token.
    assert.deepEqual(
      [end.load_duration, end.prompt_eval_duration, end.eval_count],
      [2e6, 5e6, 4],
    );
  });
}
