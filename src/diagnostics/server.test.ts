import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { type NodeStatus, nodeStatusSchema } from "../status/index.ts";
import { Events, isShoalError } from "../lib/index.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { statusOf } from "../../test/support/status.ts";
import { createDiagnostics, type DiagnosticsOptions } from "./server.ts";

async function start(
  t: TestContext,
  options: Partial<DiagnosticsOptions> = {},
  status: () => NodeStatus = () => statusOf(3, 3),
): Promise<{ url: string; events: Events }> {
  const events = new Events();
  const diagnostics = createDiagnostics({
    host: "127.0.0.1",
    port: 0,
    events,
    pageFolder: await temporaryFolder(t),
    ...options,
  });
  const { url } = await diagnostics.start(status);
  t.after(() => diagnostics.stop());
  return { url, events };
}

/** Reads a stream of events until `until` holds. */
async function readEvents(
  url: string,
  headers: Record<string, string>,
  until: (seen: readonly EventSourceMessage[]) => boolean,
): Promise<EventSourceMessage[]> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, AbortSignal.timeout(60_000)]);
  const response = await fetch(`${url}/api/v1/events`, { headers, signal });
  assert.equal(
    response.headers.get("content-type"),
    "text/event-stream; charset=utf-8",
  );
  const seen: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => seen.push(event) });
  const decoder = new TextDecoder();
  for await (const bytes of response.body!) {
    parser.feed(decoder.decode(bytes as Uint8Array, { stream: true }));
    if (until(seen)) break;
  }
  done.abort();
  return seen;
}

test("the status follows the schema and is computed once a second, however many clients ask", async (t) => {
  let computed = 0;
  let now = 1_000_000;
  const clock = { now: () => now, after: () => () => {} };
  const { url } = await start(t, { clock }, () => {
    computed++;
    return statusOf(3, 3);
  });
  const first = computed;
  const answers = await Promise.all(
    Array.from({ length: 20 }, async () =>
      nodeStatusSchema.parse(
        await (await fetch(`${url}/api/v1/status`)).json(),
      ),
    ),
  );
  assert.equal(answers.length, 20);
  assert.equal(computed, first);
  now += 1_000;
  await fetch(`${url}/api/v1/status`);
  assert.equal(computed, first + 1);
});

test("the schema is served as JSON Schema and names every field", async (t) => {
  const { url } = await start(t);
  const response = await fetch(`${url}/api/v1/schema`);
  assert.match(response.headers.get("content-type") ?? "", /schema\+json/);
  const schema = (await response.json()) as { required: string[] };
  assert.deepEqual(
    schema.required.toSorted(),
    Object.keys(statusOf(1, 1)).toSorted(),
  );
});

test("200 members fit into 210 KB, and less on the wire", async (t) => {
  const { url } = await start(t, {}, () => statusOf(200, 20));
  const response = await fetch(`${url}/api/v1/status`);
  assert.equal(response.headers.get("content-encoding"), "gzip");
  const text = await response.text();
  assert.ok(text.length < 210_000, `${text.length} bytes`);
  assert.equal(
    nodeStatusSchema.parse(JSON.parse(text)).clusters[0]!.members.length,
    200,
  );
  const plain = await fetch(`${url}/api/v1/status`, {
    headers: { "accept-encoding": "identity" },
  });
  assert.equal(plain.headers.get("content-encoding"), null);
  assert.equal((await plain.text()).length > 1_000, true);
});

test("ready is 200, or 503 with the one reason", async (t) => {
  let status = statusOf(1, 1);
  let now = 0;
  const clock = { now: () => (now += 2_000), after: () => () => {} };
  const { url } = await start(t, { clock }, () => status);
  const yes = await fetch(`${url}/ready`);
  assert.deepEqual(
    [yes.status, await yes.json()],
    [200, { ready: true, reason: null }],
  );
  status = { ...status, ready: false, reason: "shard 0 is loading" };
  const no = await fetch(`${url}/ready`);
  assert.deepEqual(
    [no.status, await no.json()],
    [503, { ready: false, reason: "shard 0 is loading" }],
  );
  assert.equal((await fetch(`${url}/health`)).status, 200);
});

/** What is not garbage. */
function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test("events stream as they happen, and a reader continues where it was", async (t) => {
  const { url, events } = await start(t);
  events.info("CONNECT", "one", { peer: "a" });
  events.warn("DHT", "two");
  const first = await readEvents(url, {}, (seen) => seen.length === 2);
  assert.deepEqual(
    first.map(({ data }) => (JSON.parse(data) as { message: string }).message),
    ["one", "two"],
  );
  const reading = readEvents(
    url,
    { "last-event-id": first[0]!.id! },
    (seen) => seen.length === 2,
  );
  events.error("API", "three");
  assert.deepEqual(
    (await reading).map(({ data }) => JSON.parse(data).level),
    ["warn", "error"],
  );
});

test("a reader of another run is told that events are missing", async (t) => {
  const { url, events } = await start(t);
  events.info("CONNECT", "one");
  const seen = await readEvents(
    url,
    { "last-event-id": "old-7" },
    (s) => s.length === 2,
  );
  assert.deepEqual(
    [seen[0]!.event, JSON.parse(seen[0]!.data)],
    ["gap", { missed: null }],
  );
  assert.equal(JSON.parse(seen[1]!.data).message, "one");
});

test("unread events are not queued for a reader: it learns about the gap when it continues", async (t) => {
  const { url, events } = await start(t);
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  t.after(() => socket.destroy());
  await once(socket, "connect");
  socket.write("GET /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  await once(socket, "readable");
  const before = heldBytes();
  // 100 MiB of events, in bursts, so that the server writes between.
  for (let burst = 0; burst < 50; burst++) {
    for (let i = 0; i < 2_000; i++)
      events.info("MSG", `${burst}-${i} ${"x".repeat(900)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  events.info("MSG", "the last one");
  const grown = heldBytes() - before;
  assert.ok(grown < 40 * 2 ** 20, `${grown} bytes are held`);
  let text = "";
  socket.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
    if (text.includes("the last one")) socket.end();
  });
  await once(socket, "close");
  const gaps = [...text.matchAll(/event: gap\ndata: \{"missed":(\d+)\}/g)];
  const missed = gaps.reduce((sum, [, count]) => sum + Number(count), 0);
  const came = text.match(/^id: /gm)?.length ?? 0;
  assert.equal(came + missed, 100_001, "every event arrived or is counted");
  assert.ok(came < 50_000, `${came} of 100,000 were kept for it`);
});

test("metrics are Prometheus' text, with units, and those of two roles do not mix", async (t) => {
  const [one, two] = [await start(t), await start(t, {}, () => statusOf(0, 1))];
  one.events.warn("DHT", "x");
  const text = await (await fetch(`${one.url}/metrics`)).text();
  assert.match(text, /^shoal_cluster_ready\{cluster="friends"\} 1$/m);
  assert.match(
    text,
    /^shoal_cluster_members\{cluster="friends",state="ready"\} 3$/m,
  );
  assert.match(text, /^shoal_events_total\{level="warn",tag="DHT"\} 1$/m);
  assert.match(text, /^process_cpu_seconds_total /m);
  for (const [, name, type] of text.matchAll(/^# TYPE (shoal_\S+) (\S+)$/gm)) {
    if (type === "counter") assert.match(name!, /_total$/);
    assert.doesNotMatch(name!, /_(ms|milliseconds|kb|mib)$/);
  }
  const other = await (await fetch(`${two.url}/metrics`)).text();
  assert.match(other, /^shoal_dht_peers 0$/m);
  assert.doesNotMatch(other, /shoal_events_total\{/);
});

test("an event that changes the cluster renews the status at once, a thousand of them five times a second", async (t) => {
  let computed = 0;
  let now = 1_000_000;
  const clock = { now: () => now, after: () => () => {} };
  const { url, events } = await start(t, { clock }, () => {
    computed++;
    return statusOf(3, 3);
  });
  const ask = async (): Promise<number> => {
    await (await fetch(`${url}/api/v1/status`)).text();
    return computed;
  };
  const first = await ask();
  now += 250;
  events.debug("MSG", "nothing moved");
  assert.equal(await ask(), first);
  events.warn("CLUSTER", "a member is gone");
  assert.equal(await ask(), first + 1);
  for (let i = 0; i < 1_000; i++) events.warn("CLUSTER", "and another");
  assert.equal(await ask(), first + 1);
  now += 250;
  assert.equal(await ask(), first + 2);
});

test("the history has a sample for each step, and rates of growing totals", async (t) => {
  const steps: (() => void)[] = [];
  let now = 10_000;
  let tokens = 0;
  const clock = {
    now: () => now,
    after: (_: number, fn: () => void) => {
      steps.push(fn);
      return () => {};
    },
  };
  const { url } = await start(t, { clock }, () => ({
    ...statusOf(2, 2, now),
    sessions: { active: 1, max: 4, total: 1, failed: 0, tokens, recent: [] },
  }));
  for (const grown of [50, 0, 25]) {
    now += 5_000;
    tokens += grown;
    steps.shift()!();
  }
  const history = (await (
    await fetch(`${url}/api/v1/history`)
  ).json()) as Record<string, unknown>;
  assert.deepEqual(history.timeMs, [10_000, 15_000, 20_000, 25_000]);
  assert.deepEqual(history.tokensPerSecond, [null, 10, 0, 5]);
  assert.deepEqual(history.connections, [2, 2, 2, 2]);
  assert.deepEqual(history.uploadBytesPerSecond, [null, null, null, null]);
  const later = await fetch(`${url}/api/v1/history?after=15000`);
  assert.deepEqual(
    ((await later.json()) as Record<string, unknown>).tokensPerSecond,
    [0, 5],
  );
});

test("the page has a strict policy and tags; if it was not built, a page says so", async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, "assets"));
  await writeFile(join(folder, "index.html"), "<!doctype html>");
  await writeFile(join(folder, "assets/index-1a2b.js"), "1");
  await writeFile(join(folder, "notes.txt"), "no part of the page");
  const { url } = await start(t, { pageFolder: folder }, () => ({
    ...statusOf(1, 1),
    api: "http://127.0.0.1:51822",
  }));
  const page = await fetch(url);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  assert.equal(
    page.headers.get("content-security-policy"),
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' http://127.0.0.1:51822; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  );
  const tag = page.headers.get("etag")!;
  assert.equal(
    (await fetch(url, { headers: { "if-none-match": tag } })).status,
    304,
  );
  const script = await fetch(`${url}/assets/index-1a2b.js`);
  assert.match(script.headers.get("cache-control")!, /immutable/);
  for (const path of [
    "/notes.txt",
    "/assets/..%2findex.html",
    "/nothing",
    "/api/v1/other",
  ])
    assert.equal((await fetch(url + path)).status, 404, path);
  const bare = await start(t);
  const missing = await fetch(bare.url);
  assert.equal(missing.status, 503);
  assert.match(await missing.text(), /was not built/);
});

test("on loopback a foreign name is refused, because a page elsewhere could use it", async (t) => {
  const { url } = await start(t);
  const { port } = new URL(url);
  const ask = async (host: string): Promise<string> => {
    const socket = connect(Number(port), "127.0.0.1");
    socket.end(
      `GET /health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
    );
    let text = "";
    for await (const piece of socket.setEncoding("utf8")) text += piece;
    return text.split(" ")[1]!;
  };
  assert.equal(await ask("rebound.example:51821"), "403");
  assert.equal(await ask("localhost:51821"), "200");
  assert.equal(await ask("[::1]"), "200");
});

test("a port that is taken is an error; without a port the next free one is found", async (t) => {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const events = new Events();
  const taken = createDiagnostics({ host: "127.0.0.1", port, events });
  t.after(() => taken.stop());
  await assert.rejects(
    taken.start(() => statusOf(1, 1)),
    (error) => isShoalError(error, "PORT_IN_USE"),
  );
  const [a, b] = [
    await start(t, { port: undefined }),
    await start(t, { port: undefined }),
  ];
  assert.notEqual(a.url, b.url);
});

test("it is read only", async (t) => {
  const { url } = await start(t);
  for (const method of ["POST", "PUT", "DELETE", "PATCH"])
    assert.equal((await fetch(`${url}/api/v1/status`, { method })).status, 404);
});
