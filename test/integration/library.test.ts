/** The library: several roles and a client in this one process. */
import assert from "node:assert/strict";
import { mkdtempDisposable, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  type Client,
  type ClusterStatus,
  connect,
  DEMO_MODEL,
  type ErrorCode,
  inspectModel,
  isShoalError,
  type RunningRole,
  type ShoalEvent,
  startGateway,
  startNode,
  startRendezvous,
  startSeeder,
} from "../../src/index.ts";
import { ownEngines } from "../support/cli.ts";
import { until } from "../support/until.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };

const is =
  (...codes: ErrorCode[]) =>
  (error: unknown): boolean => {
    assert.ok(isShoalError(error, ...codes), String(error));
    return true;
  };

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function textOf(pieces: AsyncIterable<string>): Promise<string> {
  return (await allOf(pieces)).join("");
}

describe("a swarm in one process", () => {
  const stack = new AsyncDisposableStack();
  const warnings: string[] = [];
  const onWarning = ({ message }: Error): void => void warnings.push(message);
  let home: (name: string) => string;
  let rendezvous: RunningRole;
  let member: typeof LOCAL & { bootstrap: string[]; cluster: string };
  let client: Client;

  before(async () => {
    process.on("warning", onWarning);
    const prefix = join(tmpdir(), "shoal-library-");
    const folder = stack.use(await mkdtempDisposable(prefix));
    home = (name) => join(folder.path, name);
    rendezvous = stack.use(
      await startRendezvous(LOCAL, { home: home("rendezvous") }),
    );
    member = {
      ...LOCAL,
      bootstrap: rendezvous.addresses,
      cluster: "friends",
    };
    client = stack.use(
      await connect({ ...member, readyTimeout: 0 }, { home: home("client") }),
    );
  });
  after(async () => {
    await stack.disposeAsync();
    process.off("warning", onWarning);
  });

  test("before there is a node, a client says why it cannot answer", async () => {
    assert.equal(client.status().ready, false);
    const late = client.ready({ timeoutMs: 50 });
    await assert.rejects(late, is("SWARM_NOT_READY"));
    await assert.rejects(textOf(client.chat("Hi")), is("SWARM_NOT_READY"));
    await assert.rejects(
      client.ready({ signal: AbortSignal.abort() }),
      is("ABORTED"),
    );
    const gateway = await startGateway(
      { ...member, apiPort: 0 },
      { home: home("gateway") },
    );
    await assert.rejects(gateway.ready({ timeoutMs: 50 }), (error) => {
      assert.ok(isShoalError(error, "SWARM_NOT_READY"));
      assert.equal(error.message, client.status().reason);
      return true;
    });
    await gateway.stop();
    await gateway.stop();
  });

  test("a watcher hears that the cluster becomes ready, and then it answers, also who asked before", async () => {
    const greedy = { temperature: 0, maxTokens: 24 };
    const patient = stack.use(
      await connect(
        { ...member, readyTimeout: 600 },
        { home: home("patient") },
      ),
    );
    const early = textOf(patient.generate("Once upon a time", greedy));
    early.catch(() => {});
    const seen: ClusterStatus[] = [];
    const watching = (async () => {
      for await (const status of client.watch()) {
        seen.push(status);
        if (status.ready) return;
      }
    })();
    const seeder = { ...member, model: DEMO_MODEL, shards: 2 };
    stack.use(await startSeeder(seeder, { home: home("seeder") }));
    for (const name of ["node-0", "node-1"])
      stack.use(
        await startNode({ ...member, threads: 1 }, { home: home(name) }),
      );
    await watching;
    assert.equal(seen[0]?.ready, false);
    assert.equal(seen.at(-1)?.members.length, 2);

    await client.ready();
    const text = await textOf(client.generate("Once upon a time", greedy));
    assert.notEqual(text, "");
    assert.equal(await early, text);
    assert.equal(
      await textOf(client.generate("Once upon a time", greedy)),
      text,
    );
    const stop = text.slice(5, 8);
    assert.equal(
      await textOf(client.generate("Once upon a time", { ...greedy, stop })),
      text.slice(0, text.indexOf(stop)),
    );
    const reply = client.chat([{ role: "user", content: "Tell me a story." }]);
    assert.match(await textOf(reply), /\w+ \w+/);
  });

  test("leaving the loop, or the signal, ends a generation and frees the nodes", async () => {
    for await (const text of client.chat("Tell me a story.")) {
      assert.notEqual(text, "");
      break;
    }
    const ending = new AbortController();
    const { signal } = ending;
    await assert.rejects(async () => {
      for await (const _ of client.chat("Tell me a story.", { signal }))
        ending.abort();
    }, is("ABORTED"));
    // Four sessions are all that a node has: one that was not freed would be missing.
    const all = Array.from({ length: 4 }, () =>
      textOf(client.chat("Tell me a story.", { maxTokens: 8 })),
    );
    for (const text of await Promise.all(all)) assert.notEqual(text, "");
  });

  test("wrong requests are refused as the API refuses them, wrong options as USAGE", async () => {
    const long = client.generate("word ".repeat(2_000));
    await assert.rejects(textOf(long), is("CONTEXT_EXCEEDED"));
    assert.throws(() => client.generate(""), is("USAGE"));
    assert.throws(() => client.chat([]), is("USAGE"));
    assert.throws(
      () => client.chat("Hi", { temperature: 101 }),
      /client\.chat: `temperature` must be between 0 and 100/,
    );
    const misspelled = { max_tokens: 3 } as object;
    assert.throws(
      () => client.chat("Hi", misspelled),
      /there is no option `max_tokens`/,
    );
  });

  test("files are listed and downloaded, several at once", async () => {
    const files = await client.files();
    const model = files.find(({ name }) => name === basename(DEMO_MODEL));
    const part = files.find(({ name }) => name.startsWith("metadata"));
    assert.ok(model !== undefined && part !== undefined);
    const [whole, metadata] = await Promise.all([
      client.download(model.name, home("model.gguf")),
      client.download(part.root, home("metadata.gguf")),
    ]);
    const original = await readFile(DEMO_MODEL);
    assert.ok(original.equals(await readFile(whole)), "byte for byte");
    assert.equal((await stat(metadata)).size, part.sizeBytes);
    assert.equal((await inspectModel(whole)).kind, "model");
    await assert.rejects(
      client.download("nothing", home("nothing")),
      is("CONTENT_UNKNOWN"),
    );
  });

  test("a failed start is named, and leaves nothing behind", async () => {
    const node = { ...member, threads: 1 };
    const taken = Number(rendezvous.addresses[1]?.split("/")[4]);
    const cases: [ErrorCode, () => Promise<RunningRole>][] = [
      ["HOME_IN_USE", () => startNode(node, { home: home("node-0") })],
      [
        "PORT_IN_USE",
        () =>
          startRendezvous({ ...LOCAL, port: taken }, { home: home("taken") }),
      ],
      [
        "MODEL_SHARDS",
        () =>
          startNode({ ...node, shard: { index: 2 } }, { home: home("node-2") }),
      ],
      [
        "FILE_NOT_FOUND",
        () =>
          startSeeder(
            { ...member, model: home("none.gguf"), shards: 1 },
            { home: home("seeder-2") },
          ),
      ],
      [
        "BOOTSTRAP_UNREACHABLE",
        () =>
          connect(
            { ...member, bootstrap: "127.0.0.1:1", bootstrapTimeoutMs: 300 },
            { home: home("nowhere") },
          ),
      ],
    ];
    for (const [code, started] of cases)
      await assert.rejects(started, is(code));
  });

  test("a start ends with its signal, whatever the role waits for", async () => {
    const ending = new AbortController();
    const onEvent = ({ tag }: ShoalEvent): void => {
      if (tag === "CLUSTER") ending.abort("enough");
    };
    const lonely = { ...member, cluster: "nobody" };
    const context = { home: home("lonely"), onEvent, signal: ending.signal };
    await assert.rejects(startNode(lonely, context), is("ABORTED"));
  });

  test("a stopped client ends running work, and begins nothing", async () => {
    const other = await connect(member, { home: home("other") });
    await other.ready();
    const watched = allOf(other.watch());
    const running = textOf(other.chat("Tell me a story."));
    running.catch(() => {});
    await other.stop();
    assert.ok((await watched).length > 0);
    await assert.rejects(running, is("ABORTED"));
    await assert.rejects(textOf(other.chat("Hi")), is("ABORTED"));
    await assert.rejects(other.files(), is("ABORTED"));
    await other.stop();
  });

  test("after the stop no engine is left, and Node printed no warning", async () => {
    await stack.disposeAsync();
    await until("the engines' end", () => ownEngines().length === 0);
    assert.deepEqual(warnings, []);
  });
});
