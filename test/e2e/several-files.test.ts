/** A model in several files, with a projector for images beside it: inspected, proved, seeded, fetched by nodes and members, and answering as llama.cpp does. */
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { openModel, writeGguf } from "../../src/gguf/index.ts";
import { writeTinyModel } from "../support/certificate/tiny-model.ts";
import { shoal } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { Llama } from "../support/llama.ts";
import { inThreeFiles } from "../support/models.ts";
import { complete, DEMO_MODEL, startSwarm } from "../support/swarm.ts";

const CONTEXT_LENGTH = 256;
const PROJECTOR = "mmproj-model-F16.gguf";
const NOTE = `served as text: ${PROJECTOR} beside it, for images or sound, is left out`;

test("a Gemma 3 in three files", async (t) => {
  const folder = await temporaryFolder(t);
  const whole = join(folder, "model.gguf");
  await writeGemma(whole);
  await mkdir(join(folder, "home"));
  const files = await inThreeFiles(whole);
  const [first = "", second = "", third = ""] = files;
  const projector = join(dirname(first), PROJECTOR);
  await writeGguf(projector, {
    metadata: new Map([
      ["general.architecture", { type: "string", value: "clip" }],
      ["clip.vision.block_count", { type: "uint32", value: 1 }],
    ]),
    tensors: [
      {
        name: "v.patch_embd.weight",
        type: "F32",
        shape: [2],
        data: new Uint8Array(8),
      },
    ],
  });

  const described = await shoal(["inspect", second]);
  assert.match(described.stdout, /^files +3$/m);
  assert.ok(described.stdout.includes(NOTE), described.stdout);
  const refused = await shoal(["inspect", projector]);
  assert.match(
    refused.stdout,
    /^cannot be served .*it turns pictures into input/m,
  );
  const proof = await shoal([
    "verify",
    first,
    "--shards",
    "3",
    "--threads",
    "1",
  ]);
  assert.equal(proof.code, 0, proof.stderr);

  using llama = new Llama(whole, CONTEXT_LENGTH);
  await using swarm = await startSwarm({
    model: third,
    nodes: 3,
    contextLength: CONTEXT_LENGTH,
    threads: 1,
    fromSeeder: true,
  });
  const about = swarm.progress.find((step) => step.type === "model");
  assert.deepEqual(about?.projectors, [PROJECTOR]);
  assert.ok(
    swarm.progress.some(
      (step) =>
        step.type === "event" &&
        step.name === "seeder" &&
        step.event.message.endsWith(NOTE),
    ),
  );
  for (const prompt of ["Once upon a time", "The old man looked at the sea."]) {
    const expected = llama.greedy(llama.tokenize(prompt), 24, [END]);
    const reply = await complete(swarm.apiUrl, prompt, 24, END);
    assert.equal(reply.text, llama.text(expected), prompt);
  }
  const out = join(folder, "copy.gguf");
  const at = ["--bootstrap", swarm.bootstrap, "--cluster", swarm.cluster];
  const local = ["--listen", "127.0.0.1:0", "--home", join(folder, "home")];
  const got = await shoal([
    "get",
    basename(second),
    "--out",
    out,
    ...at,
    ...local,
  ]);
  assert.equal(got.code, 0, got.stderr);
  assert.ok((await readFile(out)).equals(await readFile(second)));
});

/** </s> of the tokenizer: banned, so that every text has all its tokens. */
const END = 2;

/** With the demo model's tokenizer. */
async function writeGemma(path: string): Promise<void> {
  const { metadata } = await openModel(DEMO_MODEL);
  const tokenizer = new Map(
    [...metadata].filter(([key]) => key.startsWith("tokenizer.")),
  );
  const tokens = tokenizer.get("tokenizer.ggml.tokens")?.value as string[];
  await writeTinyModel(path, "gemma3", {
    layers: 9,
    sizes: { vocabulary: tokens.length },
    keys: { "attention.sliding_window_pattern": undefined },
    tokenizer,
  });
}
