import assert from "node:assert/strict";
import { test } from "node:test";
import { ShoalError } from "../lib/index.ts";
import { CHAT, inProcess } from "../../test/fakes/gateway.ts";

test("a foreign name for loopback is refused, the machine's names are not", async () => {
  const { app } = inProcess();
  const statusOf = async (host: string): Promise<number> =>
    (await app.inject({ url: "/v1/models", headers: { host } })).statusCode;
  for (const host of [
    "localhost",
    "localhost:51822",
    "api.localhost:1",
    "127.0.0.1:51822",
    "[::1]:51822",
    "192.168.1.7",
  ]) {
    assert.equal(await statusOf(host), 200, host);
  }
  for (const host of [
    "evil.example",
    "evil.example:51822",
    "localhost.evil.example",
  ]) {
    assert.equal(await statusOf(host), 403, host);
  }
  const refused = await app.inject({
    url: "/v1/models",
    headers: { host: "shoal.lan:51822" },
  });
  assert.match(
    refused.json<{ error: { message: string } }>().error.message,
    /^Host "shoal\.lan" is not allowed; use 127\.0\.0\.1 or localhost, or set --allow-host or --api-key$/,
  );
});

test("a name that the operator allows is accepted, in any case", async () => {
  const { app } = inProcess({ allowHosts: ["shoal.lan", "other"] });
  for (const [host, status] of [
    ["shoal.lan:51822", 200],
    ["Shoal.LAN", 200],
    ["other", 200],
    ["x.shoal.lan", 403],
  ] as const) {
    const response = await app.inject({
      url: "/v1/models",
      headers: { host },
    });
    assert.equal(response.statusCode, status, host);
  }
});

test("a key may come as X-Api-Key, as Anthropic's clients send it", async () => {
  const { app } = inProcess({ apiKey: "sesame" });
  for (const [key, status] of [
    ["sesame", 200],
    ["sesam", 401],
  ] as const) {
    const headers = { "x-api-key": key };
    const response = await app.inject({ url: "/v1/models", headers });
    assert.equal(response.statusCode, status);
  }
});

test("with a key, or open to the network, any name is accepted", async () => {
  for (const options of [{ apiKey: "k" }, { host: "0.0.0.0" }]) {
    const { app } = inProcess(options);
    const headers = { host: "shoal.example", authorization: "bearer k" };
    const response = await app.inject({ url: "/v1/models", headers });
    assert.equal(response.statusCode, 200);
  }
});

test("with a key, everything is 401 without it, however its URL is written; health needs none", async () => {
  const { app } = inProcess({ apiKey: "sesame" });
  for (const authorization of [
    undefined,
    "Bearer sesam",
    "Basic sesame",
    "sesame",
    "Bearer ",
  ]) {
    const headers = authorization === undefined ? {} : { authorization };
    const response = await app.inject({ url: "/v1/models", headers });
    assert.equal(response.statusCode, 401, authorization);
    assert.equal(response.headers["www-authenticate"], "Bearer");
    assert.match(
      response.body,
      /"type":"authentication_error".*"code":"invalid_api_key"/,
    );
    assert.doesNotMatch(response.body, /sesam/);
  }
  assert.equal((await app.inject("/health")).statusCode, 200);
  for (const url of [
    "/v1/nowhere",
    "/%76%31/models",
    "//v1/models",
    "/v1/models?a=/health",
  ]) {
    assert.equal((await app.inject(url)).statusCode, 401, url);
  }
});

test("no page may read answers unless an origin is allowed", async () => {
  const { app } = inProcess();
  const preflight = await app.inject({
    method: "OPTIONS",
    url: "/v1/models",
    headers: { origin: "http://page.example" },
  });
  assert.equal(preflight.statusCode, 204);
  assert.equal(preflight.headers["access-control-allow-origin"], undefined);
});

test("an allowed origin passes its preflight and reads answers, streams and errors", async () => {
  const origin = "http://page.example";
  const { app } = inProcess({ corsOrigin: origin, apiKey: "k" });
  const preflight = await app.inject({
    method: "OPTIONS",
    url: "/v1/chat/completions",
    headers: {
      origin,
      "access-control-request-headers": "authorization,x-stainless-os",
    },
  });
  assert.equal(preflight.statusCode, 204);
  assert.equal(
    preflight.headers["access-control-allow-headers"],
    "authorization,x-stainless-os",
  );
  for (const [payload, status] of [
    [{ ...CHAT }, 200],
    [{ ...CHAT, stream: true }, 200],
    [{}, 400],
  ] as const) {
    const response = await app.inject({
      method: "POST",
      url: "/v1/chat/completions",
      headers: { origin, authorization: "Bearer k" },
      payload,
    });
    assert.equal(response.statusCode, status);
    assert.equal(response.headers["access-control-allow-origin"], origin);
    assert.equal(String(response.headers["x-request-id"]).length, 36);
  }
});

for (const [origin, host, allowed] of [
  ["http://one.example", "127.0.0.1:51822", true],
  ["http://two.example:81", "127.0.0.1:51822", true],
  ["http://127.0.0.1:51823", "127.0.0.1:51822", true],
  ["http://localhost:51823", "localhost:51822", true],
  ["http://localhost:51823", "127.0.0.1:51822", false],
  ["http://127.0.0.1:51824", "127.0.0.1:51822", false],
  ["https://127.0.0.1:51823", "127.0.0.1:51822", false],
  ["http://three.example", "127.0.0.1:51822", false],
] as const) {
  test(`${origin} may ${allowed ? "" : "not "}ask ${host}: listed origins and the gateway's own page may`, async () => {
    const { app } = inProcess({
      corsOrigin: "http://one.example,http://two.example:81",
      pagePort: 51823,
    });
    const response = await app.inject({
      url: "/v1/models",
      headers: { origin, host },
    });
    assert.equal(
      response.headers["access-control-allow-origin"],
      allowed ? origin : undefined,
    );
    assert.equal(response.headers.vary, "origin");
  });
}

test("a form or plain text is taken from a page that may use the API, and from no other", async () => {
  const { app } = inProcess({ corsOrigin: "http://page.example" });
  for (const [origin, status] of [
    ["http://page.example", 200],
    ["http://other.example", 415],
  ] as const)
    for (const type of ["text/plain", "application/x-www-form-urlencoded"]) {
      const response = await app.inject({
        method: "POST",
        url: "/v1/chat/completions",
        headers: { "content-type": type, origin },
        payload: JSON.stringify(CHAT),
      });
      assert.equal(response.statusCode, status);
    }
});

test("an unknown path is 404 in OpenAI's form, without the query", async () => {
  const { app } = inProcess();
  for (const [method, url] of [
    ["GET", "/v1/nothing?secret"],
    ["GET", "/v1/chat/completions"],
    ["POST", "/v1/audio/speech"],
  ] as const) {
    const response = await app.inject({ method, url });
    assert.equal(response.statusCode, 404);
    const { error } = response.json<{ error: Record<string, unknown> }>();
    assert.equal(
      error.message,
      `${method} ${url.split("?")[0]} is not supported by this gateway`,
    );
    assert.equal(error.code, "not_found");
  }
  assert.equal((await app.inject("/v1/models/%ZZ")).statusCode, 400);
});

test("health reports which shards are missing", async () => {
  const { app, backend } = inProcess();
  const healthy = await app.inject("/health");
  assert.deepEqual(
    [healthy.statusCode, healthy.json()],
    [200, { status: "ok" }],
  );
  backend.unready = new ShoalError(
    "SWARM_NOT_READY",
    "shard 3 of 4 is missing",
    {
      missingShards: [3],
      missingLayers: ["6-7"],
    },
  );
  const response = await app.inject("/health");
  assert.equal(response.statusCode, 503);
  assert.equal(response.headers["retry-after"], "2");
  assert.deepEqual(response.json(), {
    status: "unavailable",
    reason: "shard 3 of 4 is missing",
    code: "swarm_not_ready",
    missing_shards: [3],
    missing_layers: ["6-7"],
  });
});

test("models are listed while known, ready or not", async () => {
  const { app, backend } = inProcess();
  backend.unready = new ShoalError(
    "SWARM_NOT_READY",
    "shard 3 of 4 is missing",
  );
  const expected = {
    id: "shoal-demo",
    object: "model",
    created: 1_700_000_000,
    owned_by: "shoal",
    manifest_id: "bafymanifest",
    context_length: 100,
  };
  assert.deepEqual((await app.inject("/v1/models")).json(), {
    object: "list",
    data: [expected],
  });
  assert.deepEqual(
    (await app.inject("/v1/models/shoal-demo")).json(),
    expected,
  );
  backend.known = false;
  assert.deepEqual((await app.inject("/v1/models")).json(), {
    object: "list",
    data: [],
  });
  assert.equal((await app.inject("/v1/models/shoal-demo")).statusCode, 503);
});
