/** The programs of examples/, each as a process of its own, with the demo model and free ports. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runProgram } from "../support/program.ts";
import {
  assertBuilt,
  answering,
  ROOT,
  startSwarm,
  type TestSwarm,
} from "../support/swarm.ts";

const example = (name: string): string => join(ROOT, "examples", name);

before(assertBuilt);

test("examples/README.md names each example", () => {
  const page = readFileSync(example("README.md"), "utf8");
  const named = [...page.matchAll(/^\| \[(.+?)\]/gm)].map(([, name]) => name);
  const there = globSync("*.ts", { cwd: join(ROOT, "examples") });
  assert.deepEqual(new Set(named), new Set(there));
});

test("a swarm in one process answers a chat through OpenAI's API", async () => {
  const { code, stdout, stderr } = await runProgram(example("one-process.ts"));
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Once upon a time/);
  assert.equal(stderr, "");
});

test("a published model is listed, and a part of it downloaded", async () => {
  const path = example("publish-and-download.ts");
  const { code, stdout, stderr } = await runProgram(path);
  assert.equal(code, 0, stderr);
  const [, size, name] = /^(\d+) {2}(embedding of .+)$/m.exec(stdout) ?? [];
  assert.match(stdout, /^\d+ {2}shoal-demo\.gguf$/m);
  assert.ok(stdout.endsWith(`downloaded ${name}: ${size} bytes\n`), stdout);
});

test("a model is described, cut and verified", async () => {
  const path = example("split-and-verify.ts");
  const { code, stdout, stderr } = await runProgram(path);
  assert.equal(code, 0, stderr);
  const [model, ...shards] = stdout.trimEnd().split("\n");
  assert.equal(model, "Shoal demo: 8 layers, Q8_0");
  assert.equal(shards.pop(), "exact, bit for bit");
  assert.deepEqual(
    shards.map((line) => line.replace(/: \d+ bytes$/, "")),
    ["layers 0-2", "layers 3-5", "layers 6-7"],
  );
});

describe("beside a running swarm", () => {
  let swarm: TestSwarm;
  before(async () => {
    swarm = await startSwarm({ nodes: 2 });
    await answering(swarm.apiUrl);
  });
  after(() => swarm.stop());

  test("OpenAI's client streams a reply", async () => {
    const prompt = "Tell me a story.";
    const path = example("openai-client.ts");
    const run = await runProgram(path, [prompt, swarm.apiUrl]);
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /^Once upon a time[^]+\.\n$/);
  });

  test("a watcher reports a lost node, and ends at Ctrl-C", async () => {
    const args = [swarm.bootstrap, swarm.cluster];
    let isLost = false;
    const run = await runProgram(example("watch.ts"), args, (child, output) => {
      const said = `\n${output}`;
      const [, afterwards] = said.split("\nready: Shoal demo, 2 members\n");
      if (afterwards === undefined) return;
      if (afterwards.includes("not ready: ")) child.kill("SIGINT");
      if (!isLost) process.kill(swarm.pidOf("node 1"), "SIGKILL");
      isLost = true;
    });
    assert.equal(run.code, 0, run.stderr);
    assert.match(
      run.stdout,
      /^not ready: shard 1 of 2 \(layers 4-7\) has no holder$/m,
    );
  });
});
