import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { Ollama } from "ollama";
import { onLoopback } from "../../test/fakes/gateway.ts";

test("a second port says what Ollama says, and gives the same answers", async () => {
  await using swarm = await onLoopback({ ollamaPort: 0 });
  const host = swarm.gateway.ollamaAddress!.url;
  assert.notEqual(host, swarm.url);
  const greeting = await fetch(host);
  assert.equal(await greeting.text(), "Ollama is running");
  assert.equal((await fetch(host, { method: "HEAD" })).status, 200);
  const client = new Ollama({ host });
  const messages = [{ role: "user", content: "Hi" }];
  const answer = await client.chat({ model: "shoal-demo", messages });
  assert.equal(answer.message.content, "Hello there.");
  assert.equal((await fetch(`${host}/v1/models`)).status, 200);
  const main = await fetch(swarm.url).then((response) => response.text());
  assert.doesNotMatch(main, /Ollama is running/);
  await swarm.gateway.stop();
  await assert.rejects(fetch(host));
});

test("a page of the web is refused at Ollama's port too", async () => {
  await using swarm = await onLoopback({ ollamaPort: 0 });
  const { url, port } = swarm.gateway.ollamaAddress!;
  const headers = { host: `evil.example:${port}` };
  const { request } = await import("node:http");
  const status = await new Promise((resolve, reject) => {
    request(`${url}/api/tags`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
  assert.equal(status, 403);
});

test("where Ollama has its port, the gateway warns and goes on", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as { port: number };
  try {
    await using swarm = await onLoopback({ ollamaPort: port });
    const event = await swarm.story.tells(
      "Ollama's clients find nothing at their usual port",
    );
    assert.deepEqual(
      [event.level, event.fields.port, event.fields.code],
      ["warn", port, "PORT_IN_USE"],
    );
    assert.equal(swarm.gateway.ollamaAddress, undefined);
    assert.equal((await fetch(`${swarm.url}/api/version`)).status, 200);
  } finally {
    other.close();
  }
});
