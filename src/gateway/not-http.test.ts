/** Requests that Node itself would answer, with a bare body or none: all get OpenAI's form. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { onLoopback } from "../../test/fakes/gateway.ts";
import { dial, readAll } from "../../test/support/sockets.ts";

test("bytes that are not HTTP are refused in the same form", async () => {
  await using swarm = await onLoopback();
  const socket = await dial(swarm.port);
  socket.write("HELO gateway\r\n\r\n");
  const text = await readAll(socket);
  assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/);
  const body = JSON.parse(text.split("\r\n\r\n")[1]!) as {
    error: { code: string };
  };
  assert.equal(body.error.code, "request_invalid");
});

test("oversized headers are 431", async () => {
  await using swarm = await onLoopback();
  const socket = await dial(swarm.port);
  socket.write(
    `GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"h".repeat(40_000)}\r\n\r\n`,
  );
  assert.match(await readAll(socket), /^HTTP\/1\.1 431 /);
});

const POST_HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n";
const NO_REQUESTS: [
  what: string,
  bytes: string,
  status: number,
  code: string,
][] = [
  ["no Host", "GET /v1/models HTTP/1.1\r\n\r\n", 400, "request_invalid"],
  [
    "an unknown Expect",
    `${POST_HEAD}Content-Length: 2\r\nExpect: a-miracle\r\n\r\n{}`,
    417,
    "request_expectation",
  ],
  [
    "an invalid method",
    "BREW /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    400,
    "request_invalid",
  ],
  [
    "a method nobody needs",
    "PROPFIND /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    404,
    "not_found",
  ],
  [
    "a tunnel",
    "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    404,
    "not_found",
  ],
  [
    "an upgrade",
    "GET /v1/none HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    404,
    "not_found",
  ],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "request_invalid"],
  [
    "two lengths",
    `${POST_HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
    400,
    "request_invalid",
  ],
  [
    "a length and chunks",
    `${POST_HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
    "request_invalid",
  ],
  [
    "chunks without end",
    `${POST_HEAD}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2;${"x".repeat(20_000)}\r\n{}\r\n0\r\n\r\n`,
    413,
    "request_too_large",
  ],
  [
    "a URL without end",
    `GET /${"u".repeat(40_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    431,
    "request_headers",
  ],
  [
    "a name without end",
    `GET /v1/models/${"n".repeat(1_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    404,
    "model_not_found",
  ],
  [
    "a body cut off",
    `${POST_HEAD}Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{}`,
    400,
    "request_invalid",
  ],
];
for (const [what, bytes, status, code] of NO_REQUESTS) {
  test(`${what}: ${status} in OpenAI's form`, async () => {
    await using swarm = await onLoopback();
    const socket = await dial(swarm.port);
    const said = readAll(socket);
    socket.end(bytes);
    const [head = "", body = ""] = (await said).split("\r\n\r\n");
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `));
    const { error } = JSON.parse(body) as { error: Record<string, unknown> };
    assert.equal(error.code, code);
    assert.equal(typeof error.message, "string");
  });
}

test("HTTP/1.0 needs no Host, and its Expect is ignored", async () => {
  await using swarm = await onLoopback();
  const socket = await dial(swarm.port);
  const said = readAll(socket);
  socket.end("GET /v1/models HTTP/1.0\r\nExpect: a-miracle\r\n\r\n");
  assert.match(await said, /^HTTP\/1\.1 200 /);
});
