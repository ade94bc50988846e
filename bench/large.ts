/**
 * A large model from the seeder to a chat's answer, on one machine: random weights (Q4_0, 60 layers or more), `seed`, four nodes that start
 * empty with 4 GB each, a gateway. Seconds of each phase, peak memory of each process against what its node told before it fetched
 * a byte, disk used, and ms a token against the sum of the stages' compute.
 *
 *     npm run build && npm exec -c 'node bench/large.ts --gib 10'
 *
 * It needs three times the model's size on the disk of TMPDIR, and as much free memory as the nodes tell.
 */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { compare, type ShoalEvent, withDeadline } from "../src/lib/index.ts";
import type { RoleInfo } from "../src/roles/role.ts";
import type { NodeStatus } from "../src/status/index.ts";
import { type Member, Members } from "../test/support/member.ts";
import { writeRandomModel } from "../test/support/models.ts";
import { answering } from "../test/support/swarm.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    gib: { type: "string", default: "10" },
    nodes: { type: "string", default: "4" },
    memory: { type: "string", default: "4GB" },
    /** Of a node; undefined: the model's, as far as memory allows. */
    context: { type: "string" },
    tokens: { type: "string", default: "24" },
    // The kernel walks all pages for a sample, which takes time of the processes themselves.
    "every-ms": { type: "string", default: "500" },
  },
});
const NODES = Number(values.nodes);
const TOKENS = Number(values.tokens);
const LEAST_LAYERS = 60;
const VOCABULARY = 32_000;
/** Of each wait: on a busy machine 10 GiB take many minutes. */
const PATIENCE_MS = 60 * 60_000;
/** After the answer, until memory is looked at for the last time. */
const REST_MS = 3_000;
const TOLD = "what the shard takes";
const TEMPLATE =
  "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

const folder = await mkdtemp(join(tmpdir(), "shoal-large-"));
const undo: (() => Promise<void>)[] = [];
const where = { bench: "large", nodes: NODES, memory: values.memory };
try {
  await run();
} finally {
  for (const step of undo.reverse()) await step();
  await rm(folder, { recursive: true, force: true });
}

async function run(): Promise<void> {
  const members = await Members.of({ after: (step) => void undo.push(step) });
  const watch = new MemoryWatch(/\.gguf( \(deleted\))?$/);
  const seconds: Record<string, number> = {};
  const phase = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    watch.phase = name;
    say(name);
    const startMs = performance.now();
    const result = await work();
    seconds[name] = round((performance.now() - startMs) / 1000, 1);
    return result;
  };
  const model = join(folder, "model.gguf");
  const shape = shapeOf(Number(values.gib) * 2 ** 30);
  const modelBytes = await phase("write", () => write(model, shape));
  const rendezvous = await ready(members.startRendezvous());
  const begin = (name: string, args: readonly string[]): Member => {
    const member = members.start(name, [
      ...args,
      ...members.at(rendezvous, name.replace(" ", "-")),
      "--diagnostics-port",
      "0",
    ]);
    watch.add(name, member.pid);
    return member;
  };
  watch.start(Number(values["every-ms"]));
  undo.push(() => watch.stop());
  await phase("publish", () =>
    ready(begin("seeder", ["seed", model, "--shards", String(NODES)])),
  );
  const all = await phase("fetch and load", async () => {
    const nodes = Array.from({ length: NODES }, (_, i) =>
      begin(`node ${i}`, nodeArgs(i)),
    );
    await Promise.all(nodes.map((node) => ready(node)));
    return nodes;
  });
  const gateway = await phase("gateway", async () => {
    const info = await ready(begin("gateway", ["serve", "--api-port", "0"]));
    await answering(info.url ?? "");
    return info;
  });
  const resting = new Map(watch.latest);
  const text = await phase("answer", () => chat(gateway.url ?? ""));
  const session = await lastSession(gateway.diagnosticsUrl ?? "");
  await sleep(REST_MS);
  await watch.stop();
  report({
    ...where,
    modelBytes,
    ...shape,
    seconds,
    nodeSeconds: all.map(nodeSeconds),
    homesBytes: Object.fromEntries(
      ["seeder", ...all.map(({ name }) => name)].map((name) => [
        name,
        diskBytes(join(members.home, name.replace(" ", "-"))),
      ]),
    ),
    answerCharacters: text.length,
    ...session,
    load: round(loadavg()[0] ?? 0, 1),
  });
  reportMemory(watch, resting, all);
}

/** The fewest layers, 60 or more, that make up so many bytes. */
function shapeOf(bytes: number): { layers: number; width: number } {
  let [layers, width] = [0, 0];
  for (let next = 512; ; next += 512) {
    const bytesPerWeight = 18 / 32;
    // Query and output, key and value of a quarter of the heads, and three matrices of 3.5 times the width.
    const layerBytes = 13 * next * next * bytesPerWeight;
    const rest = bytes - 2 * VOCABULARY * next * bytesPerWeight;
    const fit = Math.round(rest / layerBytes);
    if (fit < LEAST_LAYERS) break;
    [layers, width] = [fit, next];
  }
  if (width === 0) throw new Error("a model of 60 layers is larger than that");
  return { layers, width };
}

async function write(
  path: string,
  { layers, width }: { layers: number; width: number },
): Promise<number> {
  return await writeRandomModel(path, {
    layers,
    embeddingLength: width,
    heads: width / 128,
    kvHeads: width / 512,
    feedForward: 3.5 * width,
    vocabSize: VOCABULARY,
    vocab: "bytes",
    contextLength: 32_768,
    type: "Q4_0",
    chatTemplate: TEMPLATE,
  });
}

function nodeArgs(shard: number): string[] {
  return [
    "node",
    "--shard",
    String(shard),
    "--memory",
    values.memory,
    "--threads",
    "1",
    ...(values.context === undefined ? [] : ["--context", values.context]),
  ];
}

async function ready(member: Member): Promise<RoleInfo> {
  try {
    return await withDeadline(
      PATIENCE_MS,
      `${member.name}: ready`,
      () => member.ready,
    );
  } catch (error) {
    for (const { tag, message } of member.seen.slice(-12))
      say(`${member.name}: [${tag}] ${message}`);
    throw error;
  }
}

/** Seconds of a node's own phases, from its events. */
function nodeSeconds(node: Member): Record<string, number> {
  const loading = eventOf(node, "TENSOR_LOAD", "loading the shard");
  const loaded = eventOf(node, "SHARD", "loaded: validated");
  const told = eventOf(node, "MEMORY", TOLD);
  return {
    fetch: round((loading.timeMs - told.timeMs) / 1000, 1),
    load: round((loaded.timeMs - loading.timeMs) / 1000, 1),
  };
}

/** The whole text of a chat's answer. */
async function chat(apiUrl: string): Promise<string> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const { data } = (await (
    await fetch(`${apiUrl}/v1/models`, { signal })
  ).json()) as { data: { id: string }[] };
  const response = await fetch(`${apiUrl}/v1/chat/completions`, {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: data[0]?.id,
      messages: [{ role: "user", content: "What is a shoal?" }],
      max_tokens: TOKENS,
      temperature: 0,
      logit_bias: { "2": -100 }, // the end of generation
      stream: true,
    }),
  });
  if (!response.ok) throw new Error(await response.text());
  const chunks = (await response.text())
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)) as Chunk);
  const failed = chunks.find(({ error }) => error !== undefined);
  if (failed !== undefined) throw new Error(failed.error?.message);
  return chunks
    .map(({ choices }) => choices?.[0]?.delta?.content ?? "")
    .join("");
}

interface Chunk {
  choices?: { delta?: { content?: string } }[];
  error?: { message: string };
}

/** What the gateway says of the request that it answered last. */
async function lastSession(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(new URL("/api/v1/status", url));
  const { sessions } = (await response.json()) as NodeStatus;
  const session = sessions?.recent[0];
  if (session?.state !== "done" || session.tokens !== TOKENS)
    throw new Error(`not the whole answer: ${JSON.stringify(session)}`);
  const { route, msPerToken, timeToFirstTokenMs, promptTokens } = session;
  const sum = (ms: (stage: (typeof route)[number]) => number | null): number =>
    round(
      route.reduce((total, stage) => total + (ms(stage) ?? Number.NaN), 0),
      1,
    );
  const computeMs = sum((stage) => stage.computeMs);
  return {
    promptTokens,
    tokens: TOKENS,
    firstTokenSeconds: round((timeToFirstTokenMs ?? Number.NaN) / 1000, 1),
    msPerToken,
    computeMs,
    ratio: round((msPerToken ?? Number.NaN) / computeMs),
    queueMs: sum((stage) => stage.queueMs),
    wireMs: sum((stage) => stage.wireMs),
    stagesMs: route.map((stage) => stage.computeMs),
    direct: route.map((stage) => stage.direct),
  };
}

/** A process a line; of an engine also what its node told before it fetched a byte. */
function reportMemory(
  watch: MemoryWatch,
  resting: ReadonlyMap<string, number>,
  nodes: readonly Member[],
): void {
  for (const [name, peak] of [...watch.peaks].sort(([a], [b]) =>
    compare(a, b),
  )) {
    const node = nodes.find((of) => name.startsWith(`${of.name}: `));
    const told =
      node === undefined ? undefined : eventOf(node, "MEMORY", TOLD).fields;
    report({
      ...where,
      process: name,
      beyondMib: mib(peak.beyondBytes),
      anonymousMib: mib(peak.anonymousBytes),
      during: peak.during,
      weightsMib: mib(peak.weightBytes),
      wholeMib: mib(peak.highWaterBytes),
      beforeAnswerMib: mib(resting.get(name) ?? 0),
      afterAnswerMib: mib(watch.latest.get(name) ?? 0),
      ...(told !== undefined && {
        toldAtRestMib: mib(Number(told.atRestBytes)),
        toldFullMib: mib(Number(told.fullBytes)),
        context: told.context,
        wholeToTold: round(peak.highWaterBytes / Number(told.fullBytes)),
      }),
      samples: peak.samples,
    });
  }
}

function eventOf(node: Member, tag: string, start: string): ShoalEvent {
  const found = node.seen.find(
    (event) => event.tag === tag && event.message.startsWith(start),
  );
  if (found === undefined)
    throw new Error(`${node.name} never said "${start}"`);
  return found;
}

/** Blocks of the disk under `path`; two names of one file count once. */
function diskBytes(path: string): number {
  const text = execFileSync("du", ["-s", "--block-size=1", path], {
    encoding: "utf8",
  });
  return Number.parseInt(text, 10);
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}
