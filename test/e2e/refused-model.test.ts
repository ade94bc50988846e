/** Each command that takes a model refuses, with the reason and before it writes or publishes anything, one that cannot be cut exactly. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { REFUSED } from "../../src/model/index.ts";
import { type TinyOptions } from "../support/certificate/settings.ts";
import { writeTinyModel } from "../support/certificate/tiny-model.ts";
import { ANY_PORTS, shoal } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";

const SMALL = { width: 64, forward: 64, heads: 1, kvHeads: 1 };

interface Refusal {
  architecture: string;
  options: TinyOptions;
  shards: number;
  /** What each command says. */
  says: string;
  code: string;
  exit: number;
  /** What `inspect` says instead, where the model can be cut, but not so. */
  inspects?: string;
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  "an architecture without a certificate": {
    architecture: "baichuan",
    options: { sizes: SMALL },
    shards: 2,
    says: REFUSED.baichuan ?? "it is served",
    code: "MODEL_ARCHITECTURE",
    exit: 65,
  },
  "a number of layers that is not exact": {
    architecture: "gemma2",
    options: {
      layers: 46,
      sizes: SMALL,
      keys: { "attention.key_length": 64, "attention.value_length": 64 },
    },
    shards: 2,
    says: "llama.cpp scales the attention of Gemma 2 27B by its number of layers",
    code: "MODEL_ARCHITECTURE",
    exit: 65,
  },
  "a number of shards into which the model may not be cut": {
    // Cut at multiples of 4 layers, but not into shards of 4.
    architecture: "smallthinker",
    options: { layers: 16, sizes: SMALL },
    shards: 3,
    says: "a model of 16 layers can be cut into 1 or 2 shards, not 3",
    code: "MODEL_SHARDS",
    exit: 64,
    inspects: "shards            1 or 2\n",
  },
};

/** Everything under a folder; none where there is no such folder. */
async function filesIn(folder: string): Promise<string[]> {
  return await readdir(folder, { recursive: true }).catch(() => []);
}

async function refuses(t: TestContext, refusal: Refusal): Promise<void> {
  const { architecture, options, shards, says, code, exit } = refusal;
  const folder = await temporaryFolder(t);
  const path = join(folder, "model.gguf");
  await writeTinyModel(path, architecture, options);
  const [home, out] = [join(folder, "home"), join(folder, "out")];
  const inspect = await shoal(["inspect", path, "--home", home]);
  const told = inspect.stdout + inspect.stderr;
  assert.ok(told.includes(refusal.inspects ?? says), told);
  const count = String(shards);
  const nowhere = ["--bootstrap", "127.0.0.1:1", "--cluster", "refused"];
  const up = ["up", "--once", "--nodes", count, "--model", path, ...ANY_PORTS];
  for (const args of [
    ["split", path, "--shards", count, "--out", out],
    ["verify", path, "--shards", count],
    ["seed", path, "--shards", count, ...nowhere],
    up,
    [...up, "--from-seeder"],
  ]) {
    const run = await shoal([...args, "--home", home]);
    const said = `${args.join(" ")}: ${run.stdout}${run.stderr}`;
    assert.ok(run.stderr.includes(says), said);
    assert.match(run.stderr, new RegExp(`\\(${code}\\)\n$`), said);
    assert.equal(run.code, exit, said);
    assert.doesNotMatch(said, /ready|published/);
    // Whoever talks to others has written its key.
    assert.deepEqual([...(await filesIn(home)), ...(await filesIn(out))], []);
  }
}

for (const [what, refusal] of Object.entries(REFUSALS))
  test(`every command refuses ${what}`, async (t) => {
    await refuses(t, refusal);
  });
