/**
 * How much memory does each process take beyond the weights that it maps? A model of random weights on disk, one seeder, nodes that start
 * empty, fetch their shards, assemble and load them, a gateway, and a prompt with its reply. All processes run with their defaults but for
 * one computing thread and the context, whose keys and values are counted.
 *
 *     npm run build && npm exec -c 'node bench/memory.ts'
 *
 * F16 and F32 weights stay as they are in the file. Of quantized ones llama.cpp keeps copies in another order (repacked): try --type Q4_0.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compare, withDeadline } from "../src/lib/index.ts";
import { type Member, Members } from "../test/support/member.ts";
import { writeRandomModel } from "../test/support/models.ts";
import { answering, complete } from "../test/support/swarm.ts";
import type { WeightType } from "../test/support/weights.ts";
import { MemoryWatch, type Peak } from "./memory-watch.ts";
import { report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    layers: { type: "string", default: "34" },
    nodes: { type: "string", default: "3" },
    type: { type: "string", default: "F16" },
    context: { type: "string", default: "1024" },
    "every-ms": { type: "string", default: "50" },
  },
});
const nodes = Number(values.nodes);
const MIB = 2 ** 20;
/** Of the whole bench's waits: on a busy machine a GiB takes minutes. */
const PATIENCE_MS = 60 * 60_000;
const PROMPT_TOKENS = 200;

const folder = await mkdtemp(join(tmpdir(), "shoal-memory-"));
const undo: (() => Promise<void>)[] = [];
try {
  const model = join(folder, "model.gguf");
  // 90 MiB a layer in F16, 250 MiB outside of the layers.
  const sizeBytes = await writeRandomModel(model, {
    layers: Number(values.layers),
    embeddingLength: 2048,
    heads: 16,
    kvHeads: 4,
    feedForward: 5632,
    vocabSize: 32_000,
    vocab: "bytes",
    contextLength: 4096,
    type: values.type as WeightType,
  });
  say(`${values.type}, ${round(sizeBytes / 2 ** 30, 2)} GiB on disk`);
  const members = await Members.of({ after: (step) => void undo.push(step) });
  const watch = new MemoryWatch(/\.gguf( \(deleted\))?$/);
  watch.start(Number(values["every-ms"]));
  undo.unshift(() => watch.stop());
  await run(members, watch, model);
  await watch.stop();
  for (const [name, peak] of [...watch.peaks].sort(([a], [b]) => compare(a, b)))
    report({
      bench: "memory",
      type: values.type,
      modelBytes: sizeBytes,
      context: Number(values.context),
      process: name,
      ...inMib(peak),
      goalMib: 300,
      load: round(loadavg()[0] ?? 0, 1),
    });
} finally {
  for (const step of undo) await step();
  await rm(folder, { recursive: true, force: true });
}

async function run(
  members: Members,
  watch: MemoryWatch,
  model: string,
): Promise<void> {
  const phase = (name: string): void => {
    watch.phase = name;
    say(name);
  };
  const started = members.startRendezvous();
  watch.add("rendezvous", started.pid);
  const rendezvous = await ready(started);
  const begin = (name: string, args: readonly string[]): Member => {
    const at = members.at(rendezvous, name.replace(" ", "-"));
    const member = members.start(name, [...args, ...at]);
    watch.add(name, member.pid);
    return member;
  };
  phase("seeding");
  await ready(begin("seeder", ["seed", model, "--shards", String(nodes)]));
  phase("fetching and loading");
  const how = ["--context", values.context, "--threads", "1"];
  const all = Array.from({ length: nodes }, (_, i) =>
    begin(`node ${i}`, ["node", "--shard", String(i), ...how]),
  );
  const gateway = begin("gateway", ["serve", "--api-port", "0"]);
  await Promise.all([...all, gateway].map((member) => ready(member)));
  const { url = "" } = await gateway.ready;
  phase("answering");
  await answering(url);
  const prompt = Array.from({ length: PROMPT_TOKENS }, (_, i) => 300 + i);
  const { tokens } = await complete(url, prompt, 8);
  say(`${tokens} tokens of reply`);
}

async function ready(member: Member): ReturnType<Member["whenReady"]> {
  return await withDeadline(
    PATIENCE_MS,
    `${member.name}: ready`,
    () => member.ready,
  );
}

function mib(bytes: number): number {
  return Math.round(bytes / MIB);
}

function inMib(peak: Peak): Record<string, number | string> {
  return {
    beyondMib: mib(peak.beyondBytes),
    anonymousMib: mib(peak.anonymousBytes),
    during: peak.during,
    weightsMib: mib(peak.weightBytes),
    highWaterMib: mib(peak.highWaterBytes),
    samples: peak.samples,
  };
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}
