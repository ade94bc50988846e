/** `shoal chat` against a real gateway with a scripted backend. */
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Events, resolvePaths, ShoalError } from "../../src/lib/index.ts";
import { startRendezvous } from "../../src/roles/index.ts";
import type { Step } from "../fakes/backend.ts";
import { onLoopback } from "../fakes/gateway.ts";
import {
  inTerminal,
  type Run,
  type RunOptions,
  shoal,
} from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";

function chat(
  url: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Run> {
  return shoal(["chat", "--api", url, ...args], options);
}

test("several words are one prompt; a pipe, and a dash, read it from standard input", async () => {
  await using gateway = await onLoopback();
  const inputs: [args: string[], input: string, prompt: string][] = [
    [["Tell", "me", "--max-tokens", "9", "more"], "", "Tell me more"],
    [["one prompt"], "not read", "one prompt"],
    [[], "from a pipe\n", "from a pipe"],
    [["-"], "two\nlines\n", "two\nlines"],
    [["a", "-"], "not read", "a -"],
  ];
  for (const [args, input, prompt] of inputs) {
    const run = await chat(gateway.url, args, { input });
    const { code, stdout, stderr } = run;
    assert.deepEqual([code, stdout, stderr], [0, "Hello there.\n", ""]);
    assert.match(gateway.backend.lastPrompt, new RegExp(`>${prompt}<`));
  }
});

test("an empty prompt is refused before any request", async () => {
  for (const [args, input] of [
    [[""], ""],
    [[" ", "\n"], ""],
    [["-"], "\n"],
    [[], ""],
  ] as const) {
    const run = await chat("http://127.0.0.1:9", args, { input });
    assert.equal(
      run.stderr,
      'shoal: the prompt is empty: shoal chat "…" (USAGE)\n',
    );
    assert.equal(run.code, 64);
  }
});

test("--json in a terminal needs a prompt", async () => {
  assert.equal(
    await inTerminal(["chat", "--json"]),
    'shoal: --json needs a prompt: shoal chat "…" (USAGE)\r\n',
  );
});

test("the gateway's address may lack the scheme and have /v1 or a slash at its end", async () => {
  await using gateway = await onLoopback();
  const host = `127.0.0.1:${gateway.port}`;
  for (const url of [
    host,
    `localhost:${gateway.port}/v1`,
    `http://${host}/`,
    `http://${host}/v1/`,
  ]) {
    const run = await chat(url, ["hi"]);
    assert.deepEqual([run.code, run.stderr], [0, ""]);
  }
});

test("an invalid URL is a usage error", async () => {
  for (const [command, option] of [
    ["chat", "--api"],
    ["status", "--url"],
    ["top", "--url"],
    ["rendezvous", "--api"],
  ] as const) {
    for (const text of [
      "no url",
      "ftp://127.0.0.1",
      "http://",
      "127.0.0.1:99999",
      "http://me@127.0.0.1",
    ]) {
      const run = await shoal([command, option, text]);
      assert.equal(run.code, 64, run.stderr);
      assert.match(run.stderr, /^shoal: .*Expected a URL .*\(USAGE\)\n$/);
    }
  }
});

test("seeds go to the gateway unchanged, -1 for a random one", async () => {
  await using gateway = await onLoopback();
  for (const [seed, engine] of [
    ["7", 7],
    ["-2", 2 ** 32 - 2],
    ["9007199254740991", 2 ** 32 - 1],
  ] as const) {
    const run = await chat(gateway.url, ["hi", "--seed", seed]);
    assert.equal(run.code, 0, run.stderr);
    assert.equal(gateway.backend.requests.at(-1)?.sampling.seed, engine);
  }
  for (let asked = 0; asked < 2; asked++)
    assert.equal((await chat(gateway.url, ["hi", "--seed", "-1"])).code, 0);
  const [one, other] = gateway.backend.requests.slice(-2);
  assert.notEqual(one?.sampling.seed, other?.sampling.seed);
  const wrong = await chat(gateway.url, ["hi", "--seed", "9007199254740992"]);
  assert.equal(wrong.code, 64);
});

test("--json prints the reply, its numbers and the usage of the last chunk", async () => {
  await using gateway = await onLoopback();
  const run = await chat(gateway.url, ["hi", "--json"]);
  assert.equal(run.code, 0, run.stderr);
  const { firstTokenMs, totalMs, ...rest } = JSON.parse(run.stdout) as Record<
    string,
    number
  >;
  assert.ok(firstTokenMs! > 0 && totalMs! >= firstTokenMs!);
  assert.deepEqual(rest, {
    text: "Hello there.",
    model: "shoal-demo",
    tokens: 4,
    promptTokens: rest.promptTokens,
    finish: "stop",
    characters: 12,
    usage: {
      prompt_tokens: rest.promptTokens,
      completion_tokens: 4,
      total_tokens: rest.promptTokens! + 4,
    },
  });
});

test("Ctrl-C in the middle of a reply ends the line and frees the generation", async () => {
  await using gateway = await onLoopback();
  gateway.backend.script = ["Once", { hang: true }];
  const run = await chat(gateway.url, ["hi"], {
    onOutput: (child, output) => {
      if (output === "Once") child.kill("SIGINT");
    },
  });
  assert.deepEqual(
    [run.code, run.stdout, run.stderr],
    [130, "Once\n", "shoal: stopped (ABORTED)\n"],
  );
  await gateway.backend.generationsEnded(1);
});

/** A web server that is not a gateway. */
async function server(
  t: TestContext,
  listener: RequestListener,
): Promise<string> {
  const http = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => http.once("listening", resolve));
  t.after(() => http.close());
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

test("a role's page and other web servers are reported as no gateway", async (t) => {
  const home = await temporaryFolder(t);
  const rendezvous = await startRendezvous(
    {
      listen: ["/ip4/127.0.0.1/tcp/0"],
      diagnostics: { host: "127.0.0.1", port: 0 },
    },
    {
      events: new Events(),
      paths: resolvePaths(home),
      signal: new AbortController().signal,
    },
  );
  t.after(() => rendezvous.stop());
  const html = await server(t, (_, response) => response.end("<html>"));
  for (const url of [rendezvous.info.url!, html]) {
    const run = await chat(url, ["hi"]);
    assert.equal(
      run.stderr,
      `shoal: ${url} is not a Shoal gateway; the API is usually on port 51822 (NOT_FOUND)\n`,
    );
    assert.equal(run.code, 66);
  }
});

test("a connection that breaks during the reply is reported in one line", async (t) => {
  const url = await server(t, (request, response) => {
    if (request.url === "/v1/models") {
      response.end(JSON.stringify({ data: [{ id: "m" }] }));
      return;
    }
    response.write('data: {"choices":[{"delta":{"content":"On"}}]}\n\n');
    setImmediate(() => response.destroy());
  });
  const run = await chat(url, ["hi"]);
  assert.deepEqual(
    [run.code, run.stdout, run.stderr],
    [
      69,
      "On\n",
      "shoal: the connection to the gateway broke during the reply (STREAM_CLOSED)\n",
    ],
  );
});

test("what a model thinks is dimmed in a terminal, a field of --json, and no part of what a pipe gets", async (t) => {
  const chunks = [
    { delta: { reasoning_content: "Hm" } },
    { delta: { reasoning_content: " …" } },
    { delta: { content: "Yes." } },
    { delta: {}, finish_reason: "stop" },
  ].map((choice) => `data: ${JSON.stringify({ choices: [choice] })}\n\n`);
  const url = await server(t, (request, response) =>
    response.end(
      request.url === "/v1/models"
        ? JSON.stringify({ data: [{ id: "m" }] })
        : `${chunks.join("")}data: [DONE]\n\n`,
    ),
  );
  const args = ["chat", "--api", url, "Hi"];
  const seen = await inTerminal(args, { FORCE_COLOR: "1" });
  assert.equal(
    seen.replaceAll("\r", ""),
    "\u001B[2mHm\u001B[22m\u001B[2m …\u001B[22m\n\nYes.\n",
  );
  assert.equal((await chat(url, ["Hi"])).stdout, "Yes.\n");
  const { stdout } = await chat(url, ["Hi", "--json"]);
  const told = JSON.parse(stdout) as { text: string; reasoning: string };
  assert.deepEqual([told.text, told.reasoning], ["Yes.", "Hm …"]);
});

test("what the gateway refuses keeps its own code and exit status", async () => {
  await using short = await onLoopback();
  short.backend.contextLength = 5;
  const long = await chat(short.url, ["Tell me a story."]);
  assert.equal(long.code, 65);
  assert.match(
    long.stderr,
    /^shoal: prompt has \d+ tokens; the context \(prompt \+ reply\) is limited to 5 \(CONTEXT_EXCEEDED\)\n$/,
  );
  await using locked = await onLoopback({ apiKey: "sesame" });
  const stranger = await chat(locked.url, ["Hi"]);
  assert.equal(stranger.code, 77);
  assert.match(stranger.stderr, /\(UNAUTHENTICATED\)\n$/);
});

test("a reply commands no terminal, and reaches a pipe as it is; a gateway's error commands neither", async () => {
  await using gateway = await onLoopback();
  gateway.backend.script = ["red:\u001B[31m", "\tgreen\n"];
  const raw = await chat(gateway.url, ["Hi"]);
  assert.equal(raw.stdout, "red:\u001B[31m\tgreen\n");
  const seen = await inTerminal(["chat", "--api", gateway.url, "Hi"]);
  assert.equal(seen.replaceAll("\r", ""), "red:\\x1b[31m\tgreen\n");
  gateway.backend.script = [
    { throw: new ShoalError("STAGE_LOST", "stage \u001B[2J is lost") },
  ];
  const failed = await chat(gateway.url, ["Hi"]);
  assert.match(failed.stderr, /stage \\x1b\[2J is lost \(STAGE_LOST\)\n$/);
});

const MISSING = "shard 2 of 4 (layers 4-5)";

test("while a reply waits a terminal says for what, and no longer once it goes on; a pipe gets the reply alone", async () => {
  await using gateway = await onLoopback();
  const goesOn = [0, 1].map(() => Promise.withResolvers<void>());
  const script = (gate: Promise<void>): Step[] => [
    "Once",
    { until: gate, waitingFor: MISSING },
    " upon",
  ];
  gateway.backend.script = script(goesOn[0]!.promise);
  const seen = await inTerminal(
    ["chat", "--api", gateway.url, "Hi"],
    {},
    (output) => {
      if (output.includes(MISSING)) goesOn[0]!.resolve();
    },
  );
  // Below the text: a line down and up again, so that there is room; keep the place; write; return. And the same to clear it.
  assert.equal(
    seen,
    `Once\u001BD\u001B[A\u001B7\u001BD\r\u001B[Kwaiting for ${MISSING}…\u001B8\u001B7\u001BD\r\u001B[K\u001B8 upon\r\n`,
  );
  gateway.backend.script = script(goesOn[1]!.promise);
  const piped = await chat(gateway.url, ["Hi"], {
    onOutput: () => goesOn[1]!.resolve(),
  });
  assert.deepEqual([piped.stdout, piped.stderr], ["Once upon\n", ""]);
});

test("a reply waits for a swarm that has no model yet, and names what is missing; --json, too", async () => {
  for (const json of [false, true]) {
    await using gateway = await onLoopback();
    const { backend } = gateway;
    backend.readyTimeoutMs = 60_000;
    backend.known = false;
    const seen = await inTerminal(
      ["chat", "--api", gateway.url, ...(json ? ["--json"] : []), "Hi"],
      {},
      (output) => {
        if (!output.includes("waiting for a node to join")) return;
        backend.known = true;
        backend.changes.tell();
      },
    );
    const line = "\r\u001B[Kwaiting for a node to join…\r\u001B[K";
    const reply = json ? '{"text":"Hello there.",' : "Hello there.\r\n";
    assert.equal(seen.slice(0, (line + reply).length), line + reply);
    assert.equal(backend.requests.length, 1);
  }
});

test("a gateway that does not wait refuses a chat at once, with the reason", async () => {
  await using gateway = await onLoopback();
  gateway.backend.known = false;
  const run = await chat(gateway.url, ["Hi"]);
  assert.equal(run.code, 69);
  assert.equal(
    run.stderr,
    "shoal: no model is known yet: no node has joined (SWARM_NOT_READY)\n",
  );
});
