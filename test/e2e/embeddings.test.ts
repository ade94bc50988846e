/**
 * Embeddings by the official clients of OpenAI and Ollama, and llama-server's path, from one and from two nodes with a model of random weights that pools its
 * last token: llama.cpp's own numbers, also when an engine is killed meanwhile. Beside them chats go on with what the stages have kept.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { normalized } from "../../src/gateway/vectors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { childrenOf } from "../support/halted.ts";
import { Llama } from "../support/llama.ts";
import { writeRandomModel } from "../support/models.ts";
import { startSwarmHere } from "../support/swarm-here.ts";

const model = "Random weights";
const CONTEXT = 1024;
const LAST = 3;
/** Of one token with its BOS, of few rows, and of several chunks and graphs. */
const INPUTS = ["a", "Once upon a time", "many words ".repeat(60)];

for (const nodes of [1, 2])
  test(`embeddings from ${nodes} ${nodes === 1 ? "node" : "nodes"}`, async (t) => {
    const path = join(await temporaryFolder(t), "model.gguf");
    await writeRandomModel(path, {
      architecture: "qwen3",
      layers: 2,
      embeddingLength: 256,
      feedForward: 256,
      type: "Q8_0",
      vocab: "bytes",
      contextLength: CONTEXT,
      pooling: LAST,
    });
    using llama = new Llama(path, CONTEXT, { embeddings: true });
    const prompts = INPUTS.map((input) => llama.tokenize(input));
    const raw = prompts.map((prompt) => llama.embedding(prompt));
    const expected = raw.map((vector) => Array.from(normalized(vector)));
    const promptTokens = prompts.reduce((sum, { length }) => sum + length, 0);
    const how = { model: path, nodes, contextLength: CONTEXT };
    const url = await startSwarmHere(t, how);
    const baseURL = `${url}/v1`;
    const openai = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
    const ollama = new Ollama({ host: url });

    // A chat's beginning is kept, and embeddings neither take it over nor drive it out.
    const ask = { model, prompt: INPUTS[2]!, max_tokens: 4, temperature: 0 };
    const before = await openai.completions.create(ask);
    for (const encoding_format of ["base64", "float"] as const) {
      const input =
        encoding_format === "float" ? prompts.map((p) => [...p]) : INPUTS;
      const { data, usage } = await openai.embeddings.create({
        model,
        input,
        encoding_format,
      });
      assert.equal(usage.prompt_tokens, promptTokens);
      const vectors = data.map(({ embedding }) => {
        const given: unknown = embedding;
        return typeof given === "string" ? floatsOf(given) : given;
      });
      assert.deepEqual(vectors, expected);
    }
    const embedded = await ollama.embed({ model, input: INPUTS });
    assert.deepEqual(embedded.embeddings, expected);
    assert.equal(embedded.prompt_eval_count, promptTokens);
    const older = await ollama.embeddings({ model, prompt: INPUTS[1]! });
    assert.deepEqual(older.embedding, Array.from(raw[1]!));
    const answer = await fetch(`${url}/embedding`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ content: INPUTS }),
    });
    assert.deepEqual(
      await answer.json(),
      expected.map((vector, index) => ({ index, embedding: [vector] })),
    );

    const after = await openai.completions.create(ask);
    assert.equal(after.choices[0]?.text, before.choices[0]?.text);
    assert.ok((after.usage?.prompt_tokens_details?.cached_tokens ?? 0) > 0);

    // An engine is lost while texts wait and pass: they are fed again.
    const [engine] = enginesHere().slice(-1);
    const lost = openai.embeddings.create({
      model,
      input: [...INPUTS, ...INPUTS, ...INPUTS],
      encoding_format: "float",
    });
    process.kill(engine!, "SIGKILL");
    const { data: again } = await lost;
    assert.deepEqual(
      again.map(({ embedding }) => embedding),
      [...expected, ...expected, ...expected],
    );
  });

/** Of nodes in this process: those that have a shard. */
function enginesHere(): number[] {
  return childrenOf(process.pid).filter((pid) =>
    readFileSync(`/proc/${pid}/maps`, "utf8").includes("/shards/"),
  );
}

function floatsOf(base64: string): number[] {
  const bytes = Buffer.from(base64, "base64");
  return Array.from({ length: bytes.length / 4 }, (_, i) =>
    bytes.readFloatLE(4 * i),
  );
}
