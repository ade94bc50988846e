/**
 * Ollama's official client, and llama-server's paths, against a real swarm of two nodes with the demo model: what they tell of the model, a reply's times,
 * and that one prompt has the same greedy text through each API. What every client does is in clients.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ollama } from "ollama";
import { startSwarmHere } from "../support/swarm-here.ts";
import { DEMO_MODEL } from "../support/swarm.ts";
import { freePort } from "../support/wires.ts";

const model = "Shoal demo:latest";
const prompt = "Once upon a time";
const messages = [{ role: "user", content: "Tell me a story." }];
const options = { temperature: 0, num_predict: 24 };

test("Ollama's client and llama-server's paths, with the demo model on two nodes", async (t) => {
  const ollamaPort = await freePort();
  const url = await startSwarmHere(t, {
    model: DEMO_MODEL,
    nodes: 2,
    contextLength: 512,
    gateway: { ollamaPort },
  });
  const host = `http://127.0.0.1:${ollamaPort}`;
  const client = new Ollama({ host });
  const post = async <T>(path: string, body: object): Promise<T> => {
    const response = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as T;
  };

  await t.test(
    "the port greets, and the model's facts are its file's",
    async () => {
      const greeting = await fetch(host);
      assert.equal(await greeting.text(), "Ollama is running");
      const { models } = await client.list();
      assert.deepEqual(
        models.map(({ name }) => name),
        [model],
      );
      const [listed] = models;
      assert.match(listed?.digest ?? "", /^[0-9a-f]{64}$/);
      assert.match(listed?.details.parameter_size ?? "", /^[\d.]+[KMB]$/);
      const shown = await client.show({ model });
      assert.ok(shown.template.length > 0);
      const info = shown.model_info as unknown as Record<string, unknown>;
      const architecture = listed?.details.family ?? "";
      assert.equal(info["general.architecture"], architecture);
      assert.equal(info[`${architecture}.context_length`], 512);
      const running = await client.ps();
      assert.equal(running.models[0]?.name, model);
    },
  );

  await t.test("a chat tells its times", async () => {
    const whole = await client.chat({ model, messages, options });
    assert.equal(whole.eval_count, 24);
    assert.equal(whole.done_reason, "length");
    const { total_duration: total, load_duration: load } = whole;
    const { prompt_eval_duration: reading, eval_duration: writing } = whole;
    assert.ok(reading > 0 && writing > 0);
    // Each is rounded by itself.
    assert.ok(Math.abs(total - load - reading - writing) <= 3);
  });

  await t.test("one prompt has one greedy text through each API", async () => {
    const raw = { model, prompt, raw: true, options };
    const { response } = await client.generate(raw);
    const body = { prompt, n_predict: 24, temperature: 0 };
    const completion = await post<{ content: string }>("/completion", body);
    const openai = await post<{ choices: { text: string }[] }>(
      "/v1/completions",
      { model: "Shoal demo", prompt, max_tokens: 24, temperature: 0 },
    );
    assert.equal(completion.content, response);
    assert.equal(openai.choices[0]?.text, response);

    const chat = await client.chat({ model, messages, options });
    const templated = await post<{ prompt: string }>("/apply-template", {
      model: "Shoal demo",
      messages,
    });
    const continued = await post<{ content: string }>("/completion", {
      ...body,
      prompt: templated.prompt,
    });
    assert.equal(continued.content, chat.message.content);
    const generated = await client.generate({
      model,
      prompt: messages[0]!.content,
      options,
    });
    assert.equal(generated.response, chat.message.content);
  });

  await t.test(
    "texts become tokens and texts again; tokens are a prompt too",
    async () => {
      const { tokens } = await post<{ tokens: number[] }>("/tokenize", {
        content: prompt,
        add_special: true,
      });
      assert.ok(tokens.length > 1);
      const back = await post<{ content: string }>("/detokenize", { tokens });
      assert.ok(back.content.endsWith(prompt), back.content);
      const body = { n_predict: 8, temperature: 0, return_tokens: true };
      const byText = await post<{ content: string; tokens: number[] }>(
        "/completion",
        { ...body, prompt },
      );
      const byTokens = await post<{ content: string }>("/completion", {
        ...body,
        prompt: tokens,
      });
      assert.equal(byTokens.content, byText.content);
      assert.equal(byText.tokens.length, 8);
      const said = await post<{ content: string }>("/detokenize", {
        tokens: byText.tokens,
      });
      assert.equal(said.content, byText.content);
    },
  );

  await t.test(
    "a grammar holds the reply, and probabilities are told",
    async () => {
      const yes = await post<{ content: string }>("/completion", {
        prompt,
        grammar: 'root ::= "yes" | "no"',
        temperature: 0,
      });
      assert.match(yes.content, /^(yes|no)$/);
      interface Told {
        id: number;
        logprob: number;
        top_logprobs: { id: number; logprob: number }[];
      }
      const likely = await post<{ completion_probabilities: Told[] }>(
        "/completion",
        { prompt, n_predict: 4, temperature: 0, n_probs: 3 },
      );
      const told = likely.completion_probabilities;
      assert.equal(told.length, 4);
      for (const { id, logprob, top_logprobs: top } of told) {
        // Greedy: the drawn token is the likeliest.
        assert.equal(top[0]?.id, id);
        assert.ok(logprob <= 0 && top[0]?.logprob === logprob);
        assert.equal(top.length, 3);
      }
    },
  );

  await t.test("an error is a sentence", async () => {
    const request = { model, prompt: "a(", suffix: ")" };
    await assert.rejects(client.generate(request), /cannot fill gaps/);
  });

  await t.test("metrics have counted", async () => {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const [, predicted] =
      /^llamacpp:tokens_predicted_total (\d+)$/m.exec(metrics) ?? [];
    assert.ok(Number(predicted) > 100, metrics);
    const props = await (await fetch(`${url}/props`)).json();
    assert.ok((props as { total_slots: number }).total_slots > 0);
  });
});
