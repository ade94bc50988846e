/** Models of the hub, through the program: fetched, killed, continued, verified, served by a real cluster; wrong bytes refused. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  ANY_PORTS,
  inTerminal,
  type Run,
  type RunOptions,
  shoal,
} from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { sha256, TestHub } from "../support/hub.ts";
import { DEMO_MODEL } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const FILE = "shoal-demo-Q4_K_M.gguf";

interface Place {
  hub: TestHub;
  model: Buffer;
  home: string;
  blobs: string;
  env: Record<string, string>;
  run: (args: readonly string[], options?: RunOptions) => Promise<Run>;
}

async function place(t: TestContext): Promise<Place> {
  const hub = await TestHub.start(t);
  const model = await readFile(DEMO_MODEL);
  hub.repos["shoal/demo-GGUF"] = { files: { [FILE]: model } };
  const home = await temporaryFolder(t);
  const env = {
    HF_ENDPOINT: hub.endpoint,
    HF_HOME: join(home, "hf"),
    HF_HUB_CACHE: "",
    HF_TOKEN: "",
    HF_HUB_OFFLINE: "",
  };
  const blobs = join(home, "hf/hub/models--shoal--demo-GGUF/blobs");
  return {
    hub,
    model,
    home,
    blobs,
    env,
    run: (args, options = {}) =>
      shoal([...args, "--home", home], { ...options, env }),
  };
}

/** Runs `args` until the storage has sent a million bytes, and ends it there. */
async function runHalf(
  { hub, run }: Place,
  args: readonly string[],
  signal: NodeJS.Signals,
): Promise<Run> {
  hub.storageFault = { stallAfterBytes: 1_500_000 };
  let isEnding = false;
  const half = await run(args, {
    onOutput: (child, output) => {
      if (isEnding || !output.includes("fetching")) return;
      isEnding = true;
      void until("half of it to be sent", () =>
        hub
          .requestsTo("storage")
          // Not those that read the header.
          .some(
            ({ sentBytes, headers }) =>
              sentBytes > 1_200_000 && headers.range?.endsWith("-") === true,
          ),
      ).finally(() => child.kill(signal));
    },
  });
  hub.storageFault = {};
  return half;
}

test("a model of the hub is fetched, killed, continued, verified, and answers a prompt", async (t) => {
  const at = await place(t);
  const { hub, model, run, blobs } = at;
  const up = [
    "up",
    "hf:shoal/demo-GGUF:q4_k_m",
    "--once",
    "--nodes",
    "2",
    "--from-seeder",
    "--max-tokens",
    "8",
    ...ANY_PORTS,
  ];
  const killed = await runHalf(at, up, "SIGKILL");
  assert.equal(killed.signal, "SIGKILL");
  assert.match(
    killed.stderr,
    /fetching shoal-demo-Q4_K_M\.gguf, 3\.\d+ MiB, into .*, where .* are free/,
  );
  const [left = ""] = await readdir(blobs);
  assert.match(left, new RegExp(`^${sha256(model)}\\..*incomplete$`));
  const kept = await readFile(join(blobs, left));
  assert.ok(kept.length > 0 && model.subarray(0, kept.length).equals(kept));

  const whole = await run(up, { timeoutMs: 240_000 });
  assert.equal(whole.code, 0, whole.stderr);
  assert.match(whole.stderr, /of it are here already/);
  assert.match(whole.stderr, /is complete and verified/);
  assert.match(whole.stderr, /8 tokens by 2 nodes/);
  assert.ok(whole.stdout.trim().length > 0);
  const last = hub.requestsTo("storage").at(-1)!;
  assert.equal(last.headers.range, `bytes=${kept.length}-`);
  assert.equal(last.sentBytes, model.length - kept.length);
  assert.deepEqual(await readdir(blobs), [sha256(model)]);
});

test("get, inspect and split take what the hub has; Ctrl-C keeps what came; wrong bytes are refused", async (t) => {
  const at = await place(t);
  const { hub, model, run, home } = at;
  const reference = "hf:shoal/demo-GGUF";

  const seen = await run(["inspect", reference, "--json"]);
  assert.equal(seen.code, 0, seen.stderr);
  const info = JSON.parse(seen.stdout) as { kind: string; layerCount: number };
  assert.deepEqual([info.kind, info.layerCount], ["model", 8]);
  assert.match(seen.stderr, /only its header is read/);
  const header = hub
    .requestsTo("storage")
    .reduce((sum, r) => sum + r.sentBytes, 0);
  assert.ok(header <= 1024 * 1024, `${header} bytes were sent for the header`);

  const tooMany = await run([
    "split",
    reference,
    "--shards",
    "9",
    "--out",
    join(home, "s"),
  ]);
  assert.match(tooMany.stderr, /\(MODEL_SHARDS\)/);
  assert.equal(tooMany.code, 64);

  const stopped = await runHalf(at, ["get", reference], "SIGINT");
  assert.equal(stopped.code, 130);
  assert.match(
    stopped.stderr,
    /stopped: .* of .* are kept; the same command goes on from there/,
  );
  const got = await run(["get", reference]);
  assert.equal(got.code, 0, got.stderr);
  const path = got.stdout.trim();
  assert.equal(basename(path), FILE);
  assert.ok((await readFile(path)).equals(model));
  assert.notEqual(hub.requestsTo("storage").at(-1)!.headers.range, "bytes=0-");
  const copy = await run([
    "get",
    reference,
    "--out",
    join(home, "copy.gguf"),
    "--json",
  ]);
  assert.deepEqual(JSON.parse(copy.stdout), {
    path: join(home, "copy.gguf"),
    files: [join(home, "copy.gguf")],
  });
  assert.ok((await readFile(join(home, "copy.gguf"))).equals(model));

  const wrong = Buffer.from(model);
  wrong[wrong.length - 1]! ^= 1;
  hub.repos["shoal/other"] = {
    files: { [FILE]: Buffer.concat([model, Buffer.alloc(32)]) },
  };
  hub.storageFault = { bytes: Buffer.concat([wrong, Buffer.alloc(32)]) };
  const refused = await run(["get", "hf:shoal/other"]);
  assert.deepEqual([refused.code, refused.stdout], [65, ""]);
  assert.match(refused.stderr, /they were deleted \(HUB_CHECKSUM\)/);
  const none = await run(["get", "hf:shoal/demo-GGUF:Q8_0"]);
  assert.equal(none.code, 64);
  assert.match(
    none.stderr,
    /has no Q8_0\. There is: Q4_K_M \(3\.\d+ MiB\) \(HUB_CHOICE\)/,
  );
});

test("two processes that want the same at once fetch it once; a terminal sees how far it is", async (t) => {
  const at = await place(t);
  const { hub, model, run, home } = at;
  hub.storageFault = { delayMs: 10 }; // 2 s and more for the file
  const reference = "hf:shoal/demo-GGUF";
  const terminal = inTerminal(["get", reference, "--home", home], at.env);
  // The one in the terminal is the one that fetches.
  await until(
    "the terminal's process to fetch",
    () => hub.requestsTo("storage").length > 0,
  );
  const [shown, got] = await Promise.all([terminal, run(["get", reference])]);
  assert.equal(got.code, 0, got.stderr);
  assert.ok((await readFile(got.stdout.trim())).equals(model));
  assert.ok(shown.includes(got.stdout.trim()));
  assert.match(shown, /\d+ % {2}shoal-demo-Q4_K_M\.gguf {2}.*iB\/s/);
  const whole = hub
    .requestsTo("storage")
    .filter(({ headers }) => headers.range?.endsWith("-"));
  assert.equal(whole.length, 1, "one of them waited");
  assert.match(got.stderr + shown, /another process is fetching it/);
});
