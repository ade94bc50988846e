/** The program as people run it: its output, its exit, what it leaves behind. */
import assert from "node:assert/strict";
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { createSocket } from "node:dgram";
import { type AddressInfo, createServer } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { type GgufValue, writeGguf } from "../../src/gguf/index.ts";
import { splitModel } from "../../src/model/index.ts";
import { ANY_PORTS, processesOf, type Run, shoal } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { writeRandomModel } from "../support/models.ts";
import { DEMO_MODEL, STORIES, storiesMissing } from "../support/swarm.ts";

/** One line, with the code in brackets at its end. */
function assertError(stderr: string, code: string): void {
  const lines = stderr.trim().split("\n");
  assert.equal(lines.length, 1, stderr);
  assert.match(lines[0]!, new RegExp(`^shoal: .+ \\(${code}\\)$`));
}

/** Every process of a swarm has `home` in its environment: what is left of it is found, and nobody else's. */
const knownBy = (home: string): Record<string, string> => ({ TMPDIR: home });

test("up --once prints a story made by 4 nodes and leaves nothing running", async (t) => {
  const home = await temporaryFolder(t);
  const up = ["up", "--once", "--home", home, "--seed", "3", ...ANY_PORTS];
  const run = await shoal(up, { env: knownBy(home) });
  assert.equal(run.code, 0, run.stderr);
  assert.ok(run.stdout.trim().split(/\s+/).length > 30, run.stdout);
  for (const node of [0, 1, 2, 3])
    assert.match(run.stderr, new RegExp(`node ${node} ready`));
  assert.match(
    run.stderr,
    /\d+ tokens by 4 nodes, [\d.]+ tokens\/s, first token after/,
  );
  assert.deepEqual(processesOf(home), []);
});

test(
  "up tells a story by a model without a chat template too",
  { skip: storiesMissing },
  async (t) => {
    const home = await temporaryFolder(t);
    const run = await shoal([
      "up",
      "--once",
      "--home",
      home,
      "--model",
      STORIES,
      "--nodes",
      "2",
      "--prompt",
      "Once upon a time",
      "--temperature",
      "0",
      "--max-tokens",
      "20",
      ...ANY_PORTS,
    ]);
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /^, there was a little girl named Lily\./);
  },
);

test("Ctrl-C stops every process", async (t) => {
  const home = await temporaryFolder(t);
  let interruptedMs = 0;
  let running: number[] = [];
  const run = await shoal(
    ["up", "--home", home, "--nodes", "2", "--max-tokens", "4", ...ANY_PORTS],
    {
      env: knownBy(home),
      onOutput: (child, output) => {
        if (interruptedMs > 0 || !output.includes("stays up until Ctrl-C"))
          return;
        running = processesOf(home);
        interruptedMs = performance.now();
        child.kill("SIGINT");
      },
    },
  );
  assert.equal(run.code, 0, run.stderr);
  assert.ok(running.length >= 5, `${running.length} were running before`);
  assert.deepEqual(processesOf(home), []);
  // The promise is 5 s; other tests share the cores.
  assert.ok(performance.now() - interruptedMs < 10_000);
});

test("a swarm whose starter is killed ends by itself", async (t) => {
  const home = await temporaryFolder(t);
  let children: number[] = [];
  const run = await shoal(
    ["up", "--home", home, "--nodes", "1", "--max-tokens", "4", ...ANY_PORTS],
    {
      env: knownBy(home),
      onOutput: (child, output) => {
        if (children.length > 0 || !output.includes("stays up until Ctrl-C"))
          return;
        children = processesOf(home).filter((pid) => pid !== child.pid);
        child.kill("SIGKILL");
      },
    },
  );
  assert.equal(run.signal, "SIGKILL");
  assert.ok(children.length >= 3, `${children.length} children`);
  const deadline = Date.now() + 60_000;
  while (children.some(isAlive)) {
    assert.ok(Date.now() < deadline, "children outlive their parent");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("options come by flag, else by variable, else from the file", async (t) => {
  const home = await temporaryFolder(t);
  const out = {
    flag: join(home, "flag"),
    env: join(home, "env"),
    file: join(home, "file"),
  };
  await writeFile(
    join(home, "config.json"),
    JSON.stringify({ split: { out: out.file, shards: 2 } }),
  );
  const split = ["split", DEMO_MODEL, "--home", home];
  const env = { SHOAL_OUT: out.env };
  for (const [args, environment, dir] of [
    [[...split, "--out", out.flag], env, out.flag],
    [split, env, out.env],
    [split, {}, out.file],
  ] as const) {
    const run = await shoal(args, { env: environment });
    assert.equal(run.code, 0, run.stderr);
    const names = (await readdir(dir)).toSorted();
    assert.deepEqual(names, [
      "manifest.cbor",
      "metadata.gguf",
      "shard-0.gguf",
      "shard-1.gguf",
    ]);
  }
  await writeFile(
    join(home, "config.json"),
    JSON.stringify({ split: { shards: "many" } }),
  );
  const wrong = await shoal([...split, "--out", out.flag]);
  assert.equal(wrong.code, 64);
  assertError(wrong.stderr, "USAGE");
});

test("split, inspect and verify print their results", async (t) => {
  const folder = await temporaryFolder(t);
  const split = await shoal([
    "split",
    DEMO_MODEL,
    "--shards",
    "8",
    "--out",
    folder,
  ]);
  assert.equal(split.code, 0, split.stderr);
  assert.match(split.stdout, /shard-7\.gguf {2}layers 7-7/);
  const shard = await shoal(["inspect", join(folder, "shard-3.gguf")]);
  assert.match(shard.stdout, /kind +shard/);
  assert.match(shard.stdout, /layers +3-3 of 8/);
  const manifest = await shoal(["inspect", join(folder, "manifest.cbor")]);
  assert.match(manifest.stdout, /kind +manifest/);
  const model = await shoal(["inspect", DEMO_MODEL]);
  assert.match(model.stdout, /kind +model/);
  const verify = await shoal(["verify", DEMO_MODEL, "--shards", "3"]);
  assert.equal(verify.code, 0, verify.stderr);
  assert.match(verify.stdout, /decode: .* largest difference 0\n/);
});

test("split, inspect and verify print JSON", async (t) => {
  const folder = await temporaryFolder(t);
  const json = async <T>(...args: string[]): Promise<T> => {
    const run = await shoal([...args, "--json", "--home", folder]);
    assert.equal(run.code, 0, run.stderr);
    return JSON.parse(run.stdout) as T;
  };
  type Facts = Record<string, unknown>;
  const out = join(folder, "out");
  const { manifest: id, shards } = await json<{
    manifest: string;
    shards: Facts[];
  }>("split", DEMO_MODEL, "--shards", "2", "--out", out);
  assert.deepEqual(
    shards.map(({ file, layerStart, layerEnd }) => [
      file,
      layerStart,
      layerEnd,
    ]),
    [
      ["shard-0.gguf", 0, 4],
      ["shard-1.gguf", 4, 8],
    ],
  );
  const manifest = await json<Facts>("inspect", join(out, "manifest.cbor"));
  assert.deepEqual([manifest.kind, manifest.manifest], ["manifest", id]);
  const shard = await json<Facts>("inspect", join(out, "shard-1.gguf"));
  assert.deepEqual(
    [shard.kind, shard.layerStart, shard.layerEnd, shard.layerCount],
    ["shard", 4, 8, 8],
  );
  const model = await json<Facts>("inspect", DEMO_MODEL);
  assert.deepEqual([model.kind, model.layerCount], ["model", 8]);
  assert.equal(model.sizeBytes, (await stat(DEMO_MODEL)).size);
  const verify = await json<Facts>("verify", DEMO_MODEL);
  assert.deepEqual([verify.exact, verify.decodeDifference], [true, 0]);
});

/** Files that are wrong in one way each. */
const bad: [
  name: string,
  make: (path: string) => Promise<unknown>,
  code: string,
][] = [
  [
    "truncated",
    (path) => copyFile(DEMO_MODEL, path).then(() => truncate(path, 2_000_000)),
    "GGUF_TRUNCATED",
  ],
  ["empty", (path) => writeFile(path, ""), "GGUF_NOT_GGUF"],
  [
    "no GGUF",
    (path) => writeFile(path, "this is no model, whatever it is called"),
    "GGUF_NOT_GGUF",
  ],
  [
    "no language model",
    (path) =>
      writeGguf(path, {
        metadata: new Map<string, GgufValue>([
          ["general.architecture", { type: "string", value: "clip" }],
        ]),
        tensors: [],
      }),
    "MODEL_ARCHITECTURE",
  ],
  [
    "another architecture",
    (path) =>
      writeGguf(path, {
        metadata: new Map<string, GgufValue>([
          ["general.architecture", { type: "string", value: "gemma3n" }],
          ["gemma3n.block_count", { type: "uint32", value: 2 }],
        ]),
        tensors: [
          {
            name: "token_embd.weight",
            type: "F32",
            shape: [4, 4],
            data: new Uint8Array(64),
          },
        ],
      }),
    "MODEL_ARCHITECTURE",
  ],
];

for (const [name, make, code] of bad) {
  test(`a file that is ${name} is refused, and nothing is written`, async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, "bad.gguf");
    await make(path);
    const out = join(folder, "out");
    const split = await shoal(["split", path, "--shards", "2", "--out", out]);
    assertError(split.stderr, code);
    assert.equal(split.code, 65);
    await assert.rejects(readdir(out), { code: "ENOENT" });
    const up = await shoal([
      "up",
      "--once",
      "--home",
      join(folder, "home"),
      "--model",
      path,
    ]);
    assert.equal(up.code, 65);
    assert.match(up.stderr, new RegExp(`\\(${code}\\)\n$`));
  });
}

test("a shard of another model, a shard that is not there, and shard 9 of 8 are refused", async (t) => {
  const folder = await temporaryFolder(t);
  const [here, other] = [join(folder, "here"), join(folder, "other")];
  await writeRandomModel(join(folder, "other.gguf"), {
    layers: 8,
    vocab: "bytes",
  });
  await splitModel({ path: DEMO_MODEL, shards: 8, outDir: here });
  await splitModel({
    path: join(folder, "other.gguf"),
    shards: 8,
    outDir: other,
  });
  await copyFile(join(other, "shard-2.gguf"), join(here, "shard-2.gguf"));
  const node = async (shard: string, dir = here) =>
    await shoal([
      "node",
      "--home",
      folder,
      "--bootstrap",
      "127.0.0.1:9",
      "--cluster",
      "c",
      "--shard",
      shard,
      "--model-dir",
      dir,
    ]);
  const foreign = await node("2/8");
  assertError(foreign.stderr, "SHARD_FOREIGN");
  assert.equal(foreign.code, 65);
  const missing = await node(
    "3/8",
    await mkdir(join(folder, "none"), { recursive: true }),
  );
  assertError(missing.stderr, "SHARD_NOT_FOUND");
  assert.equal(missing.code, 66);
  const nine = await node("9/8");
  assertError(nine.stderr, "USAGE");
  assert.match(nine.stderr, /numbered 0 to 7/);
  assert.equal(nine.code, 64);
  const tooMany = await node("8/9");
  assertError(tooMany.stderr, "MODEL_SHARDS");
});

test("a bootstrap that does not answer is named", async (t) => {
  const folder = await temporaryFolder(t);
  await splitModel({
    path: DEMO_MODEL,
    shards: 2,
    outDir: join(folder, "split"),
  });
  const run = await shoal([
    "node",
    "--home",
    folder,
    "--bootstrap",
    "127.0.0.1:9",
    "--bootstrap-timeout",
    "3",
    "--cluster",
    "c",
    "--shard",
    "0/2",
    "--model-dir",
    join(folder, "split"),
    "--listen",
    "127.0.0.1:0",
  ]);
  assertError(run.stderr, "BOOTSTRAP_UNREACHABLE");
  assert.match(run.stderr, /127\.0\.0\.1:9/);
  assert.equal(run.code, 69);
});

test("a port in use is named", async (t) => {
  const home = await temporaryFolder(t);
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const rendezvous = await shoal([
    "rendezvous",
    "--home",
    home,
    "--listen",
    `127.0.0.1:${address.port}`,
  ]);
  assertError(rendezvous.stderr, "PORT_IN_USE");
  const node = await shoal([
    "node",
    "--home",
    home,
    "--bootstrap",
    "127.0.0.1:9",
    "--cluster",
    "c",
    "--shard",
    "0/2",
    "--model-dir",
    dirname(DEMO_MODEL),
    "--listen",
    `127.0.0.1:${address.port}`,
  ]);
  assertError(node.stderr, "PORT_IN_USE");
  const story = node.stdout + node.stderr;
  assert.doesNotMatch(story, /TENSOR_LOAD/, "the model is not loaded before");
  const seeder = await shoal([
    "seed",
    DEMO_MODEL,
    "--home",
    home,
    "--bootstrap",
    "127.0.0.1:9",
    "--cluster",
    "c",
    "--shards",
    "2",
    "--listen",
    `127.0.0.1:${address.port}`,
  ]);
  assertError(seeder.stderr, "PORT_IN_USE");
  const told = seeder.stdout + seeder.stderr;
  assert.doesNotMatch(told, /TORRENT/, "the model is not hashed before");
  const serve = await shoal([
    "serve",
    "--home",
    home,
    "--bootstrap",
    "127.0.0.1:9",
    "--cluster",
    "c",
    "--api-port",
    String(address.port),
  ]);
  assertError(serve.stderr, "PORT_IN_USE");
  assert.match(serve.stderr, new RegExp(String(address.port)));
});

test("an invalid command line is a usage error", async () => {
  for (const args of [
    ["frobnicate"],
    ["node", "--shard", "x"],
    ["up", "--nodes", "0"],
    ["node"],
    ["split", "x.gguf"],
    ["up", "--frob"],
  ]) {
    const run = await shoal(args);
    assertError(run.stderr, "USAGE");
    assert.equal(run.code, 64);
  }
  const chat = await shoal(["chat", "hello", "--api", "http://127.0.0.1:9"]);
  assertError(chat.stderr, "DIAL_FAILED");
});

test("the README's commands are the ones that CI runs", async () => {
  const root = join(import.meta.dirname, "../..");
  const readme = await readFile(join(root, "README.md"), "utf8");
  const ci = await readFile(join(root, ".ci/run"), "utf8");
  assert.match(readme, /npm ci && npm start/);
  assert.match(readme, /npm ci && npm test/);
  assert.match(ci, /^npm ci && npm test$/m);
});

test("up: a port that was asked for and is in use is named, before anything starts", async (t) => {
  const home = await temporaryFolder(t);
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  for (const name of ["api", "rendezvous", "diagnostics"]) {
    const args = ["up", "--once", "--home", home, `--${name}-port`];
    const run = await shoal([...args, String(port)]);
    assertError(run.stderr, "PORT_IN_USE");
    assert.match(run.stderr, new RegExp(`port ${port} is in use`));
    assert.equal(run.code, 69);
  }
});

test("two swarms on one machine both tell their story", async (t) => {
  const home = await temporaryFolder(t);
  const up = ["up", "--home", home, "--nodes", "2", "--max-tokens", "8"];
  let second: Promise<Run> | undefined;
  const first = await shoal(up, {
    onOutput: (child, output) => {
      // It holds the standard ports now, unless another program does: then both are second ones.
      if (!output.includes("stays up until Ctrl-C")) return;
      second ??= shoal([...up, "--once"]).finally(() => child.kill("SIGINT"));
    },
  });
  for (const run of [first, await second]) {
    assert.ok(run?.code === 0, run?.stderr);
    assert.match(run.stderr, /8 tokens by 2 nodes/);
    assert.doesNotMatch(run.stderr, /died|in use/);
  }
});

test("two swarms started at once do not take each other's ports", async (t) => {
  const home = await temporaryFolder(t);
  const up = ["up", "--once", "--home", home, "--nodes", "1"];
  const runs = await Promise.all(
    [1, 2].map(() => shoal([...up, "--max-tokens", "4"])),
  );
  for (const run of runs) {
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stderr, /4 tokens by 1 node/);
    assert.doesNotMatch(run.stderr, /died|in use/);
  }
});

test("a swarm starts where another program holds UDP 51820, and where one holds TCP 51821 and 51822", async (t) => {
  const home = await temporaryFolder(t);
  const udp = createSocket("udp4");
  t.after(() => udp.close());
  await new Promise<void>((resolve) => {
    udp.once("error", () => resolve()).bind(51820, () => resolve());
  });
  for (const port of [51821, 51822]) {
    const server = createServer().listen(port);
    await new Promise((resolve) => {
      server.once("listening", resolve).once("error", resolve);
    });
    t.after(() => server.close());
  }
  const args = ["--nodes", "1", "--max-tokens", "4", "--home", home];
  const run = await shoal(["up", "--once", ...args]);
  assert.equal(run.code, 0, run.stderr);
  assert.doesNotMatch(run.stderr, /died|in use/);
  assert.doesNotMatch(run.stderr, /:5182[12]\b/);
});
