/** `n`: several choices of one request. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHAT, eventsOf, inProcess } from "../../../test/fakes/gateway.ts";

const COMPLETION = { model: "shoal-demo", prompt: "Once", max_tokens: 50 };

test("several choices: whole, each with a seed of its own, and the tokens of all", async () => {
  const { post, backend } = inProcess();
  const chat = { ...CHAT, n: 3, seed: 2 ** 32 - 2 };
  const { choices, usage } = (await post("/v1/chat/completions", chat)).json<{
    choices: unknown;
    usage: { completion_tokens: number };
  }>();
  assert.deepEqual(
    choices,
    [0, 1, 2].map((index) => ({
      index,
      message: { role: "assistant", content: "Hello there.", refusal: null },
      logprobs: null,
      finish_reason: "stop",
    })),
  );
  assert.equal(usage.completion_tokens, 3 * 4);
  assert.deepEqual(
    backend.requests.map(({ sampling }) => sampling.seed),
    [2 ** 32 - 2, 2 ** 32 - 1, 0],
  );
});

test("several choices: streamed, each in its order, with one usage and one end", async () => {
  const { post } = inProcess();
  const response = await post("/v1/completions", {
    ...COMPLETION,
    n: 2,
    stream: true,
    stream_options: { include_usage: true },
  });
  const events = eventsOf(response.body) as {
    choices: { index: number; text: string; finish_reason: string | null }[];
    usage: { completion_tokens: number } | null;
  }[];
  assert.equal(events.pop(), "[DONE]");
  assert.equal(events.pop()?.usage?.completion_tokens, 2 * 4);
  for (const wanted of [0, 1])
    assert.deepEqual(
      events
        .map(({ choices: [choice] }) => choice!)
        .filter(({ index }) => index === wanted)
        .map(({ text, finish_reason }) => [text, finish_reason]),
      [
        ["Hello", null],
        [" there", null],
        [".", null],
        ["", "stop"],
      ],
    );
});

test("several choices: one that fails ends the others, and all is freed", async () => {
  const { post, backend } = inProcess();
  backend.script = ["Hello", { hang: true }];
  let calls = 0;
  backend.onToken = () => {
    if (++calls === 2) backend.script = ["Hello", { throw: new Error("no") }];
  };
  const response = await post("/v1/completions", { ...COMPLETION, n: 2 });
  assert.equal(response.statusCode, 500);
  await backend.generationsEnded(2);
});
