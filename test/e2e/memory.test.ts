/** What a node says that its shard takes is what the engine has in memory, and what does not fit is refused before a byte of it is fetched. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Members, type Member } from "../support/member.ts";
import { writeRandomModel } from "../support/models.ts";
import { totalsOf } from "../support/spread.ts";
import { until } from "../support/until.ts";

const MiB = 2 ** 20;
const LAYERS = 8;
const MODEL = {
  layers: LAYERS,
  embeddingLength: 512,
  heads: 8,
  kvHeads: 8,
  feedForward: 736,
  vocabSize: 1_024,
  vocab: "bytes",
  type: "Q8_0",
  contextLength: 131_072,
} as const;
const CONTEXT = 32_768;
const SESSIONS = 4;
/** Of llama.cpp's keys and values, f16: two rows of 512 a layer. */
const KV_BYTES_PER_TOKEN = LAYERS * 2 * 512 * 2;
/** Of a token of the context and one of the largest decode. */
const MASK_BYTES = 2;
const DECODE_TOKENS = 192;
const PROMPT_TOKENS = 4_000;
const REPLY_TOKENS = 24;
const CLOSE = 0.1;
/** Of the shard. */
const DOWNLOADING = /^downloading \d+ parts$/;
/** The manifest and the vocabulary, without which nobody knows what the shard takes; a layer has 40 times as much. */
const ABOUT_MODEL_BYTES = 64 * 1024;

interface Scene {
  members: Members;
  seeder: Member;
  at: (name: string) => string[];
}

async function scene(t: TestContext): Promise<Scene> {
  const members = await Members.of(t);
  const model = join(members.home, "model.gguf");
  await writeRandomModel(model, MODEL);
  const rendezvous = await members.rendezvous();
  const at = (name: string): string[] => members.at(rendezvous, name);
  const seeder = members.start("seeder", [
    "seed",
    model,
    "--shards",
    "1",
    ...at("seeder"),
  ]);
  await seeder.whenReady();
  return { members, seeder, at };
}

test(
  "an engine has in memory what was told: at its start, in use, and when the session has ended",
  {
    skip: process.platform !== "linux",
  },
  async (t) => {
    const { members, at } = await scene(t);
    const node = members.start("node", [
      "node",
      "--shard",
      "0",
      "--threads",
      "1",
      "--gpu",
      "off",
      "--context",
      String(CONTEXT),
      "--sessions",
      String(SESSIONS),
      ...at("node"),
    ]);
    await node.whenReady();
    const told = node.seen.find(({ tag }) => tag === "MEMORY");
    assert.ok(told !== undefined);
    const bytes = (field: string): number => Number(told.fields[field]);
    assert.ok(
      node.seen.indexOf(told) <
        node.seen.findIndex(({ message }) => DOWNLOADING.test(message)),
      "it is told before the shard is fetched",
    );
    assert.equal(bytes("kvBytes"), KV_BYTES_PER_TOKEN * CONTEXT * SESSIONS);

    const engine = await engineOf(node.pid);
    const start = await residentBytes(engine);
    t.diagnostic(
      `at the start ${start / MiB} of ${bytes("atRestBytes") / MiB} MiB`,
    );
    const gateway = members.start("gateway", [
      "serve",
      "--api-port",
      "0",
      ...at("gateway"),
    ]);
    const { url } = await gateway.whenReady();
    await gateway.when(
      ({ tag, message }) => tag === "API" && message.startsWith("serving"),
      "the model's vocabulary",
    );
    let used = 0;
    const length = await complete(`${url}`, async () => {
      used = Math.max(used, await residentBytes(engine));
    });
    // The rest of the buffers for computing are masks, of the tokens that are used.
    const toldInUse =
      bytes("atRestBytes") +
      length * (KV_BYTES_PER_TOKEN + MASK_BYTES * DECODE_TOKENS);
    t.diagnostic(`in use ${used / MiB} of ${toldInUse / MiB} MiB`);
    await until(
      "the session's pages to be given back",
      async () =>
        (await residentBytes(engine)) <
        used - (length * KV_BYTES_PER_TOKEN) / 2,
    );
    const end = await residentBytes(engine);
    const toldAfter =
      bytes("atRestBytes") + length * MASK_BYTES * DECODE_TOKENS;
    t.diagnostic(`at the end ${end / MiB} of ${toldAfter / MiB} MiB`);
    assertClose(start, bytes("atRestBytes"), "at the start");
    assertClose(used, toldInUse, "in use");
    assertClose(end, toldAfter, "at the end");
  },
);

test("a context that does not fit is refused before a byte of the shard is fetched, naming what does", async (t) => {
  const { members, seeder, at } = await scene(t);
  const home = join(members.home, "node");
  const node = members.start("node", [
    "node",
    "--shard",
    "0",
    "--gpu",
    "off",
    "--memory",
    "400MB",
    "--context",
    "131072",
    "--sessions",
    String(SESSIONS),
    ...at("node"),
  ]);
  await assert.rejects(node.whenReady(), (error: Error) => {
    const [, context] = /fit with --context (\d+)/.exec(error.message) ?? [];
    assert.ok(Number(context) >= 256 && Number(context) < CONTEXT);
    assert.match(error.message, /with 131072 tokens no layers from 0 on do/);
    return true;
  });
  const files = await readdir(join(home, "data"), { recursive: true });
  assert.deepEqual(
    files.filter((file) => /parts\/.|layers-\d+-\d+/.test(file)),
    [],
  );
  const { uploaded } = await totalsOf(seeder);
  assert.ok(uploaded < ABOUT_MODEL_BYTES, `${uploaded} bytes`);
  assert.ok(!node.seen.some(({ message }) => DOWNLOADING.test(message)));
});

/** The process that computes for a node. */
async function engineOf(node: number): Promise<number> {
  const children = await readFile(
    `/proc/${node}/task/${node}/children`,
    "utf8",
  );
  for (const pid of children.trim().split(" ").map(Number)) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8");
    if (/child\.[jt]s/.test(command)) return pid;
  }
  throw new Error(`no engine among ${children}`);
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

/** Gives the tokens that the session had; calls `onText` while it is there. */
async function complete(
  api: string,
  onText: () => Promise<void>,
): Promise<number> {
  const response = await fetch(`${api}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: await modelOf(api),
      prompt: "a".repeat(PROMPT_TOKENS),
      max_tokens: REPLY_TOKENS,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  assert.equal(response.status, 200);
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString();
    await onText();
  }
  return Number(/"total_tokens":(\d+)/.exec(text)?.[1]);
}

async function modelOf(api: string): Promise<string> {
  const response = await fetch(`${api}/v1/models`);
  const { data } = (await response.json()) as { data: { id: string }[] };
  return data[0]?.id ?? "";
}

function assertClose(seen: number, told: number, when: string): void {
  assert.ok(
    Math.abs(seen - told) <= told * CLOSE,
    `${when} ${seen / MiB} MiB are in memory, ${told / MiB} were told`,
  );
}
