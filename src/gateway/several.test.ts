/** Several clusters behind one gateway: which model a request gets, and what it is told when it gets none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LightMyRequestResponse } from "fastify";
import { BackendDouble } from "../../test/fakes/backend.ts";
import { CHAT, inProcess } from "../../test/fakes/gateway.ts";
import { SessionLog, SeveralBackends } from "../inference/index.ts";
import { Events, ShoalError, systemClock } from "../lib/index.ts";
import { parseKeys } from "./keys/keys-file.ts";
import { Keys } from "./keys/keys.ts";

const KEY = "sk-alice-0123456789";
const MISSING = new ShoalError("SWARM_NOT_READY", "shard 1 of 2 is missing", {
  missingShards: [1],
});

/** A gateway for these clusters, each with its model. */
function gateway(
  models: Record<string, string>,
  {
    readyTimeoutMs = 0,
    models: allowed = undefined as string[] | undefined,
  } = {},
) {
  const several = new SeveralBackends({
    sessions: new SessionLog(),
    readyTimeoutMs,
  });
  const backends: Record<string, BackendDouble> = {};
  for (const [cluster, model] of Object.entries(models)) {
    const backend = new BackendDouble();
    Object.assign(backend, { cluster, id: model, script: [cluster] });
    backends[cluster] = backend;
    several.add(cluster, backend);
  }
  const keys = new Keys({ clock: systemClock, events: new Events() });
  const entry = { name: "alice", key: KEY, models: allowed };
  keys.replace(parseKeys(JSON.stringify({ keys: [entry] }), "keys"));
  const { app, story } = inProcess({ backend: several, keys });
  const headers = { "x-api-key": KEY };
  const get = (url: string): Promise<LightMyRequestResponse> =>
    app.inject({ url, headers });
  const ask = (model?: string): Promise<LightMyRequestResponse> =>
    app.inject({
      method: "POST",
      url: "/v1/chat/completions",
      headers,
      payload: { ...CHAT, model },
    });
  return { several, backends, story, get, ask };
}

const said = (response: LightMyRequestResponse): string => {
  const body = response.json<{
    choices?: { message: { content: string } }[];
    error?: { code: string; message: string };
  }>();
  return (
    body.choices?.[0]?.message.content ??
    `${response.statusCode} ${body.error?.code}: ${body.error?.message}`
  );
};

const listed = (response: LightMyRequestResponse): string[] =>
  response.json<{ data: { id: string }[] }>().data.map(({ id }) => id);

test("the model's name chooses, or its cluster's; all are listed", async () => {
  const { ask, get } = gateway({ north: "Bear", south: "Penguin" });
  for (const [name, cluster] of [
    ["Bear", "north"],
    ["Penguin", "south"],
    ["south", "south"],
    ["south/Penguin", "south"],
  ] as const)
    assert.equal(said(await ask(name)), cluster);
  assert.deepEqual(listed(await get("/v1/models")), ["Bear", "Penguin"]);
  const one = await get("/v1/models/Penguin");
  assert.equal(one.json<{ id: string }>().id, "Penguin");
});

test("an unknown name, or none, gets the list", async () => {
  const { ask } = gateway({ north: "Bear", south: "Penguin" });
  assert.equal(
    said(await ask("gpt-4")),
    '404 model_not_found: no model "gpt-4" is served here; this gateway serves "Bear", "Penguin"',
  );
  assert.match(said(await ask("north/Penguin")), /^404 model_not_found/);
});

test("of two clusters with the same model, one that is ready answers; the list tells them apart", async () => {
  const { ask, get, backends } = gateway({ north: "Bear", south: "Bear" });
  assert.deepEqual(listed(await get("/v1/models")), [
    "north/Bear",
    "south/Bear",
  ]);
  assert.equal(said(await ask("Bear")), "north");
  assert.equal(said(await ask("south/Bear")), "south");
  backends.north!.unready = MISSING;
  assert.equal(said(await ask("Bear")), "south");
  assert.match(said(await ask("north/Bear")), /^503 swarm_not_ready: shard 1/);
});

test("a cluster that is not ready says why, and the others answer", async () => {
  const { ask, get, backends } = gateway({ north: "Bear", south: "Penguin" });
  backends.south!.unready = MISSING;
  assert.equal(
    said(await ask("Penguin")),
    "503 swarm_not_ready: shard 1 of 2 is missing",
  );
  assert.equal(said(await ask("Bear")), "north");
  assert.equal((await get("/health")).statusCode, 200);
  backends.north!.unready = MISSING;
  assert.equal((await get("/health")).statusCode, 503);
});

test("a request waits for its cluster, for one that nobody told of yet, and for the first of all", async () => {
  const { ask, several, backends } = gateway(
    { north: "Bear", south: "Penguin" },
    { readyTimeoutMs: 60_000 },
  );
  backends.south!.unready = MISSING;
  const waiting = ask("Penguin");
  assert.equal(said(await ask("Bear")), "north");
  backends.south!.unready = undefined;
  several.changed();
  assert.equal(said(await waiting), "south");

  backends.south!.known = false;
  const unknown = ask("Seal");
  assert.equal(said(await ask("Bear")), "north");
  Object.assign(backends.south!, { known: true, id: "Seal" });
  several.changed();
  assert.equal(said(await unknown), "south");

  const none = gateway({}, { readyTimeoutMs: 60_000 });
  const first = none.ask("Bear");
  await new Promise(setImmediate);
  none.several.add("north", backends.north!);
  assert.equal(said(await first), "north");
});

test("a cluster that is taken away is unknown from then on", async () => {
  const { ask, get, several } = gateway({ north: "Bear", south: "Penguin" });
  several.delete("south");
  assert.match(
    said(await ask("Penguin")),
    /^404 model_not_found: .* serves "Bear"$/,
  );
  assert.deepEqual(listed(await get("/v1/models")), ["Bear"]);
});

test("a key that may use one of them does not learn of the others", async () => {
  for (const allowed of ["Penguin", "south", "south/Penguin"]) {
    const { ask, get } = gateway(
      { north: "Bear", south: "Penguin" },
      { models: [allowed] },
    );
    assert.equal(said(await ask("Penguin")), "south");
    assert.match(
      said(await ask("Bear")),
      /^404 model_not_found: .* serves "Penguin"$/,
    );
    assert.deepEqual(listed(await get("/v1/models")), ["Penguin"]);
    assert.equal((await get("/v1/models/Bear")).statusCode, 404);
  }
});
