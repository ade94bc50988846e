/** What only a real socket shows: clients that leave, do not read or send garbage, and the gateway's start and stop. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import { BackendDouble, type Step } from "../../test/fakes/backend.ts";
import { createGateway } from "./gateway.ts";
import { CHAT, onLoopback, Story } from "../../test/fakes/gateway.ts";
import { dial, readAll } from "../../test/support/sockets.ts";

function rawPost(body: object, path = "/v1/chat/completions"): string {
  const text = JSON.stringify(body);
  return [
    `POST ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "",
    text,
  ].join("\r\n");
}

const post = (
  url: string,
  body: unknown,
  init: RequestInit & { duplex?: "half" } = {},
): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });

const LEAVINGS: [how: string, leave: (socket: Socket) => void][] = [
  ["closes its connection", (socket) => socket.destroy()],
  ["resets its connection", (socket) => socket.resetAndDestroy()],
];
const SCRIPTS: [when: string, script: Step[]][] = [
  ["before the first token", [{ hang: true }]],
  ["after the first token", ["Hello", { hang: true }]],
];
for (const [how, leave] of LEAVINGS) {
  for (const [when, script] of SCRIPTS) {
    for (const stream of [true, false]) {
      test(`a client that ${how} ${when}${stream ? " of a stream" : ""} frees the generation`, async () => {
        await using swarm = await onLoopback();
        swarm.backend.script = script;
        const said = new Promise<void>((resolve) => {
          swarm.backend.onToken = () => resolve();
        });
        const socket = await dial(swarm.port);
        socket.write(rawPost({ ...CHAT, stream }));
        while (swarm.backend.requests.length === 0)
          await new Promise(setImmediate);
        if (script.length > 1) await said;
        leave(socket);
        await swarm.backend.generationsEnded(1);
        assert.deepEqual(swarm.backend.ended, [{ aborted: true }]);
        await swarm.story.tells("client left before the end");
        assert.ok(swarm.story.told.every((event) => event.level === "info"));
      });
    }
  }
}

/** Without the interim responses, which a client skips. */
const final = (text: string): string =>
  text.replace(/^(HTTP\/1\.1 100 Continue\r\n\r\n)*/, "");

for (const stream of [true, false]) {
  test(`a client that closes its sending side gets its answer${stream ? ", streamed" : ""}`, async () => {
    await using swarm = await onLoopback();
    const socket = await dial(swarm.port);
    const said = readAll(socket);
    socket.end(rawPost({ ...CHAT, stream }));
    const text = await said;
    assert.match(text, /^HTTP\/1\.1 200 /);
    assert.match(text, stream ? /data: \[DONE\]/ : /"content":"Hello there\."/);
    await swarm.story.tells("request answered");
  });

  test(`a client that closes its sending side gets a slow answer, too${stream ? ", streamed" : ""}`, async () => {
    await using swarm = await onLoopback();
    const slow = new Promise<void>((resolve) => setTimeout(resolve, 1_800));
    swarm.backend.script = stream
      ? ["Hello", { until: slow }, " there."]
      : [{ until: slow }, "Hello", " there."];
    const socket = await dial(swarm.port);
    const said = readAll(socket);
    socket.end(rawPost({ ...CHAT, stream }));
    const text = await said;
    assert.match(final(text), /^HTTP\/1\.1 200 /);
    assert.match(
      text,
      stream
        ? /"Hello".*\r\n:\n\n.*" there\.".*data: \[DONE\]/s
        : /^HTTP\/1\.1 100 Continue.*"content":"Hello there\."/s,
    );
  });
}

test("when a client leaves, its pipelined request ends too", async () => {
  await using swarm = await onLoopback();
  swarm.backend.script = [{ hang: true }];
  const socket = await dial(swarm.port);
  socket.write(rawPost(CHAT) + rawPost(CHAT)); // pipelined
  while (swarm.backend.requests.length < 2) await new Promise(setImmediate);
  socket.destroy();
  await swarm.backend.generationsEnded(2);
  assert.deepEqual(swarm.backend.ended, [{ aborted: true }, { aborted: true }]);
});

test("a generation is no faster than its reader, and a client that never reads is dropped", async () => {
  await using swarm = await onLoopback({ writeTimeoutMs: 200 });
  let said = 0;
  swarm.backend.contextLength = 1_000_000;
  swarm.backend.script = ["x".repeat(64 * 1024)];
  swarm.backend.endless = true;
  swarm.backend.onToken = () => said++;
  const socket = await dial(swarm.port);
  socket.pause();
  socket.write(rawPost({ ...CHAT, stream: true }));
  await swarm.backend.generationsEnded(1);
  assert.ok(said > 0 && said < 1000, `${said} tokens of 64 KiB`); // the rest would not fit into the sockets' buffers
  const event = await swarm.story.tells("request failed");
  assert.equal(event.fields.code, "DEADLINE");
  socket.destroy();
});

test("a client that begins to read again after it was dropped learns that its stream is not whole", async () => {
  await using swarm = await onLoopback({ writeTimeoutMs: 200 });
  swarm.backend.contextLength = 1_000_000;
  swarm.backend.script = ["x".repeat(64 * 1024)];
  swarm.backend.endless = true;
  const response = await post(swarm.url, { ...CHAT, stream: true });
  await swarm.backend.generationsEnded(1);
  let text = "";
  await assert.rejects(async () => {
    for await (const piece of response.body!.pipeThrough(
      new TextDecoderStream(),
    ))
      text += piece;
  });
  assert.doesNotMatch(text, /finish_reason":"|\[DONE\]/);
});

test("a client that never reads its whole answer is dropped, too", async () => {
  await using swarm = await onLoopback({ writeTimeoutMs: 100 });
  swarm.backend.script = ["x".repeat(30_000_000)];
  const socket = await dial(swarm.port);
  socket.pause();
  socket.write(rawPost(CHAT));
  const event = await swarm.story.tells("client left before the end");
  assert.equal(event.fields.completionTokens, 2);
  socket.destroy();
});

test("a reader that is only slow gets everything", async () => {
  await using swarm = await onLoopback();
  swarm.backend.contextLength = 1_000_000;
  swarm.backend.script = Array<string>(60).fill("y".repeat(128 * 1024));
  const response = await post(swarm.url, { ...CHAT, stream: true });
  let bytes = 0;
  let chunks = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (++chunks % 50 === 0)
      await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.ok(bytes > 60 * 128 * 1024);
});

test("a body over the limit is refused with 413, announced or not", async () => {
  await using swarm = await onLoopback({ bodyLimitBytes: 100_000 });
  const large = JSON.stringify({
    ...CHAT,
    messages: [{ role: "user", content: "z".repeat(3_000_000) }],
  });
  const announced = await post(swarm.url, large);
  assert.equal(announced.status, 413);
  assert.equal(announced.headers.get("x-request-id")?.length, 36);
  const body = (await announced.json()) as {
    error: { code: string; message: string };
  };
  assert.equal(body.error.code, "request_too_large");
  assert.match(body.error.message, /larger than 100000 bytes/);

  const chunked = await post(swarm.url, "", {
    body: new Blob([large]).stream(),
    duplex: "half",
  });
  assert.equal(chunked.status, 413);
});

test("a port in use is one clear line", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as { port: number };
  const gateway = createGateway({
    backend: new BackendDouble(),
    events: new Story().events,
    port,
  });
  await assert.rejects(gateway.start(), (error) => {
    assert.ok(isShoalError(error, "PORT_IN_USE"));
    assert.equal(
      error.message,
      `port ${port} on 127.0.0.1 is in use by another program`,
    );
    return true;
  });
  await gateway.stop();
  other.close();
});

test("an address of another machine is refused", async () => {
  const gateway = createGateway({
    backend: new BackendDouble(),
    events: new Story().events,
    host: "192.0.2.1",
    port: 0,
  });
  await assert.rejects(gateway.start(), (error) =>
    isShoalError(error, "ADDRESS_INVALID"),
  );
  await gateway.stop();
});

test("the gateway logs where it listens once it does, and when anyone can reach it", async () => {
  const story = new Story();
  await using gateway = createGateway({
    backend: new BackendDouble(),
    events: story.events,
    host: "0.0.0.0",
    port: 0,
  });
  const { url } = await gateway.start();
  assert.match(url, /^http:\/\/0\.0\.0\.0:\d+$/);
  assert.deepEqual(
    story.told.map(({ level, tag, fields }) => [level, tag, fields.url]),
    [
      ["info", "API", url],
      ["warn", "API", url],
    ],
  );
  await gateway.stop();
  assert.equal(gateway.address, undefined);
});

test("a wrong option is refused by name", () => {
  const base = { backend: new BackendDouble(), events: new Story().events };
  for (const [options, message] of [
    [{ port: 70_000 }, "Expected gateway option `port` to be 0 to 65535"],
    [{ apiKey: "" }, "Expected gateway option `apiKey` not to be empty"],
    [
      { corsOrigin: "example.org" },
      'Expected gateway option `corsOrigin` to be "*" or an origin such as http://localhost:3000',
    ],
  ] as const) {
    assert.throws(() => createGateway({ ...base, ...options }), {
      code: "USAGE",
      message,
    });
  }
});

test("stop lets a running answer finish, refuses new ones, and ends with the last socket", async () => {
  await using swarm = await onLoopback({ drainMs: 5_000 });
  const gate = Promise.withResolvers<void>();
  swarm.backend.script = ["Hello", { until: gate.promise }, " there"];
  const stream = await post(swarm.url, { ...CHAT, stream: true });
  const idle = await dial(swarm.port); // a connection without requests
  const stopped = swarm.gateway.stop();
  assert.equal(swarm.gateway.stop(), stopped);
  await assert.rejects(post(swarm.url, CHAT)); // no longer listens
  gate.resolve();
  assert.match(await stream.text(), / there.*\[DONE\]/s);
  await stopped;
  assert.equal((await swarm.story.tells("stopped")).tag, "API");
  if (!idle.closed) await once(idle, "close");
});

test("a request that reaches a stopping gateway on an open connection is told to retry", async () => {
  await using swarm = await onLoopback({ drainMs: 5_000 });
  swarm.backend.script = [{ hang: true }];
  const running = await dial(swarm.port);
  running.write(rawPost(CHAT));
  while (swarm.backend.requests.length === 0) await new Promise(setImmediate);
  const open = await dial(swarm.port);
  // Half a request after a whole one: once that is answered, this one is in progress and its connection is not idle.
  open.write(
    "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/models HTT",
  );
  await once(open, "data");
  const stopped = swarm.gateway.stop();
  const said = readAll(open);
  open.write("P/1.1\r\nHost: localhost\r\n\r\n");
  assert.match(
    await said,
    /^HTTP\/1\.1 503 .*connection: close\r\n.*"code":"shutting_down"/is,
  );
  running.destroy();
  await stopped;
});

test("a gateway that drains refuses what is new, on new connections too, and lets a running answer take its time", async () => {
  await using swarm = await onLoopback();
  const gate = Promise.withResolvers<void>();
  swarm.backend.script = ["Hello", { until: gate.promise }, " there"];
  const stream = await post(swarm.url, { ...CHAT, stream: true });
  let isDrained = false;
  const drained = swarm.gateway.drain().then(() => (isDrained = true));
  for (const path of ["/v1/models", "/health"]) {
    const refused = await fetch(swarm.url + path);
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get("retry-after"), "5");
    assert.equal(refused.headers.get("connection"), "close");
  }
  const refused = await post(swarm.url, CHAT);
  assert.equal(refused.status, 503);
  assert.match(await refused.text(), /"code":"shutting_down"/);
  assert.equal(isDrained, false);
  gate.resolve();
  assert.match(await stream.text(), / there.*\[DONE\]/s);
  await drained;
  await swarm.gateway.stop();
});

test("stop after a drain that was not waited for aborts what runs at once", async () => {
  await using swarm = await onLoopback({ drainMs: 600_000 });
  swarm.backend.script = ["Hello", { hang: true }];
  const stream = await post(swarm.url, { ...CHAT, stream: true });
  const drained = swarm.gateway.drain();
  await swarm.gateway.stop();
  await drained;
  assert.match(await stream.text(), /"code":"shutting_down"[^[]*$/s);
});

test("stop aborts requests that do not end in time, and tells their clients why", async () => {
  await using swarm = await onLoopback({ drainMs: 20 });
  swarm.backend.script = ["Hello", { hang: true }];
  const stream = await post(swarm.url, { ...CHAT, stream: true });
  const whole = post(swarm.url, CHAT);
  while (swarm.backend.requests.length < 2) await new Promise(setImmediate);
  await swarm.gateway.stop();
  assert.match(
    await stream.text(),
    /"content":"Hello".*"code":"shutting_down"[^[]*$/s,
  );
  const answer = await whole;
  assert.equal(answer.status, 503);
  assert.match(await answer.text(), /"code":"shutting_down"/);
  assert.deepEqual(swarm.backend.ended, [{ aborted: true }, { aborted: true }]);
});

test("requests beyond the bound are told to retry; health is still answered", async () => {
  await using swarm = await onLoopback({ maxRequests: 1 });
  swarm.backend.script = [{ hang: true }];
  const socket = await dial(swarm.port);
  socket.write(rawPost(CHAT));
  while (swarm.backend.requests.length === 0) await new Promise(setImmediate);
  const second = await post(swarm.url, CHAT);
  assert.equal(second.status, 503);
  assert.equal(second.headers.get("retry-after"), "1");
  assert.match(await second.text(), /"code":"busy"/);
  assert.equal((await fetch(`${swarm.url}/health`)).status, 200);
  socket.destroy();
  await swarm.backend.generationsEnded(1);
});
