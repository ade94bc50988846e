/** Two hundred requests at once over real sockets: who gets how much, and that nobody is held up by somebody else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { onLoopback } from "../../test/fakes/gateway.ts";
import { dial } from "../../test/support/sockets.ts";
import { Admission, ADMISSION_DEFAULTS } from "../inference/admission.ts";
import { Events } from "../lib/index.ts";
import { parseKeys } from "./keys/keys-file.ts";
import { Keys } from "./keys/keys.ts";

const PLACES = 4;
/** The machine may be busy. */
const PATIENCE_MS = 120_000;

interface Client {
  requests: number;
  /** Of each. */
  tokens: number;
  limits: object;
}

/** All have something waiting until the first of them is done. */
const CLIENTS: Record<string, Client> = {
  free: { requests: 60, tokens: 30, limits: {} },
  "two at once": { requests: 40, tokens: 120, limits: { sessions: 2 } },
  "40 a minute": {
    requests: 60,
    tokens: 60,
    limits: { requestsPerMinute: 40 },
  },
  rich: {
    requests: 40,
    tokens: 90,
    limits: { tokensPerMinute: 1_000_000, sessions: 50 },
  },
};

function keysOf(clients: Record<string, Client>): Keys {
  // It stands still: on a busy machine a minute's limits would grow while requests arrive.
  const clock = { now: () => 0, after: () => () => {} };
  const keys = new Keys({ clock, events: new Events() });
  const all = { ...clients, stopped: { limits: {} } };
  const entries = Object.entries(all).map(([name, { limits }]) => ({
    name,
    key: secretOf(name),
    ...limits,
  }));
  keys.replace(parseKeys(JSON.stringify({ keys: entries }), "keys"));
  return keys;
}

const secretOf = (name: string): string =>
  `sk-${name.replaceAll(" ", "-")}-0123456789`;

const bodyOf = (tokens: number, stream: boolean): object => ({
  model: "shoal-demo",
  messages: [{ role: "user", content: "Hi" }],
  max_tokens: tokens,
  stream,
});

async function ask(
  url: string,
  name: string,
  body: object,
): Promise<{ status: number; text: string }> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${secretOf(name)}`,
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  return { status: response.status, text: await response.text() };
}

test("200 requests at once of 4 keys with different limits: equal tokens within 10 %, none hangs, and a reader that stopped stops nobody", async () => {
  await using gateway = await onLoopback({ keys: keysOf(CLIENTS) });
  const { backend, url, port } = gateway;
  backend.admission = new Admission(ADMISSION_DEFAULTS);
  backend.contextLength = 200_000;
  backend.endless = true;
  backend.places = PLACES + 1; // one for the reader that stops
  backend.script = ["word ".repeat(2_000)];
  const stopped = await dial(port);
  stopped.pause();
  const reading = Promise.withResolvers<void>();
  backend.onToken = () => reading.resolve();
  const body = JSON.stringify(bodyOf(100_000, true));
  const head = [
    "POST /v1/chat/completions HTTP/1.1",
    "Host: localhost",
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    `Authorization: Bearer ${secretOf("stopped")}`,
  ].join("\r\n");
  stopped.write(`${head}\r\n\r\n${body}`);
  await reading.promise;

  // Nothing is computed before all are there.
  const all = Promise.withResolvers<void>();
  backend.script = [{ until: all.promise }, "word "];
  const got = new Map<string, number>();
  const slow = backend.requests[0];
  backend.onToken = (request) => {
    if (request === slow) return;
    const flow = request.flow ?? "";
    got.set(flow, (got.get(flow) ?? 0) + 1);
  };
  let atFirstEnd: Map<string, number> | undefined;
  const answered = Promise.all(
    Object.entries(CLIENTS).map(async ([name, { requests, tokens }]) => {
      const answers = await Promise.all(
        Array.from({ length: requests }, (_, i) =>
          ask(url, name, bodyOf(tokens, i % 2 === 0)),
        ),
      );
      atFirstEnd ??= new Map(got);
      const statuses = answers.map(({ status }) => status);
      for (const { status, text } of answers)
        assert.match(text, status === 200 ? /"length"/ : /rate_limit_exceeded/);
      return [name, statuses.filter((status) => status === 200).length];
    }),
  );
  // But for those refused, and those that wait for their own key's sessions.
  while (backend.admission.waiting < 200 - 20 - 38 - PLACES)
    await new Promise(setImmediate);
  all.resolve();
  const outcomes = await answered;
  assert.deepEqual(Object.fromEntries(outcomes), {
    free: 60,
    "two at once": 40,
    "40 a minute": 40,
    rich: 40,
  });
  // Prompts are of one length; those that began are counted as requests of each.
  const prompt = slow?.tokens.length ?? 0;
  const shares = Object.entries(CLIENTS).map(([name, { tokens }]) => {
    const computed = atFirstEnd?.get(`key ${name}`) ?? 0;
    return computed + Math.ceil(computed / tokens) * prompt;
  });
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  for (const share of shares)
    assert.ok(Math.abs(share - mean) <= 0.1 * mean, shares.join(", "));
  stopped.destroy();
});

test("many requests leave nothing behind", async () => {
  await using gateway = await onLoopback({ keys: keysOf(CLIENTS) });
  const { backend, url } = gateway;
  backend.admission = new Admission(ADMISSION_DEFAULTS);
  backend.places = PLACES;
  const filler = "x".repeat(100_000);
  backend.contextLength = 200_000;
  const round = async (): Promise<void> => {
    const body = {
      ...bodyOf(5, true),
      messages: [{ role: "user", content: filler }],
    };
    const asked = Array.from({ length: 50 }, () => ask(url, "free", body));
    for (const { status } of await Promise.all(asked))
      assert.equal(status, 200);
    backend.requests.length = 0;
    backend.ended.length = 0;
    gateway.story.told.length = 0;
  };
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heap = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  await round();
  const before = heap();
  for (let i = 0; i < 3; i++) await round();
  const grown = heap() - before;
  // What 150 requests held was 75 MB: bodies, texts, and four bytes for each token.
  assert.ok(grown < 8_000_000, `${grown} bytes more`);
});
