/** Request bodies as clients send them, and what becomes of each: `test/gateway/bodies.jsonl`, one a line. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CHAT, inProcess } from "../../../test/fakes/gateway.ts";

interface Row {
  what: string;
  /** Default: "chat". */
  to?: "chat" | "text";
  /** Instead of that endpoint's. */
  path?: string;
  method?: "GET" | "OPTIONS";
  /** Into a body that works. */
  with?: object;
  /** Instead of it. */
  body?: object;
  raw?: string;
  headers?: Record<string, string>;
  strict?: boolean;
  /** Default: 100 tokens. */
  context?: number;
  /** The status; default: 200. */
  is?: number;
  error?: object;
  /** Parts of the generation that is asked for. */
  asks?: object;
  /** Part of the grammar that holds the reply. */
  holds?: string;
  prompt?: string;
  /** Part of the prompt. */
  shows?: string;
  tokens?: number[];
  /** Parts of the answer. */
  says?: object;
}

const ROWS = readFileSync(
  new URL("../../../test/gateway/bodies.jsonl", import.meta.url),
  "utf8",
)
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Row);

const ENDPOINTS = {
  chat: { path: "/v1/chat/completions", body: CHAT },
  text: {
    path: "/v1/completions",
    body: { model: "shoal-demo", prompt: "Once", max_tokens: 50 },
  },
};

function headersOf({ headers }: Row): Record<string, string> {
  const all = { "content-type": "application/json", ...headers };
  const { "content-type": type, ...others } = all;
  return type === "" ? others : all;
}

for (const row of ROWS) {
  const { is = 200, to = "chat" } = row;
  test(`${is}: ${row.what}`, async () => {
    const { app, backend } = inProcess({
      randomSeed: () => 77,
      ...(row.strict === true && { strict: true }),
    });
    backend.contextLength = row.context ?? 100;
    const endpoint = ENDPOINTS[to];
    const body = row.body ?? { ...endpoint.body, ...row.with };
    const response = await app.inject({
      method: row.method ?? "POST",
      url: row.path ?? endpoint.path,
      ...(row.method === undefined && {
        headers: headersOf(row),
        payload: row.raw ?? JSON.stringify(body),
      }),
    });
    assert.equal(response.statusCode, is, response.body);
    if (row.error !== undefined) {
      const { error } = response.json<{ error: object }>();
      assert.partialDeepStrictEqual(error, row.error);
      assert.equal(backend.requests.length, 0);
    }
    const [request] = backend.requests;
    if (row.asks !== undefined)
      assert.partialDeepStrictEqual(request, row.asks);
    if (row.holds !== undefined)
      assert.ok(request?.sampling.grammar?.gbnf.includes(row.holds));
    if (row.prompt !== undefined) assert.equal(backend.lastPrompt, row.prompt);
    if (row.shows !== undefined)
      assert.ok(backend.lastPrompt.includes(row.shows), backend.lastPrompt);
    if (row.tokens !== undefined)
      assert.deepEqual([...(request?.tokens ?? [])], row.tokens);
    if (row.says !== undefined)
      assert.partialDeepStrictEqual(response.json(), row.says);
  });
}

test("a field that is not known is told once", async () => {
  const { post, story } = inProcess();
  for (const body of [
    { ...CHAT, tempo: 1 },
    { ...CHAT, tempo: 2, b: 1 },
  ])
    await post("/v1/chat/completions", body);
  assert.deepEqual(
    story.told.flatMap(({ fields }) => fields.field ?? []),
    ["tempo", "b"],
  );
});

test("a refusal never quotes what the client wrote", async () => {
  const { post, story } = inProcess();
  for (const body of [
    '{"model":"shoal-demo","prompt":"a secret" oops',
    { ...CHAT, messages: "a secret" },
    {
      ...CHAT,
      messages: [
        { role: "a secret of more than thirty-two letters", content: "" },
      ],
    },
    { ...CHAT, stop: [{ text: "a secret" }] },
    { ...CHAT, tool_choice: { type: "a secret" } },
    { ...CHAT, tools: [{ type: "function", function: { name: "a secret" } }] },
    { ...CHAT, logit_bias: [["a secret", "a secret"]] },
  ]) {
    const response = await post("/v1/chat/completions", body);
    assert.equal(response.statusCode, 400);
    assert.doesNotMatch(response.body, /secret/);
  }
  assert.doesNotMatch(JSON.stringify(story.told), /secret/);
});
