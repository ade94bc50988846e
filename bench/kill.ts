/**
 * What does the loss of a machine cost a reply? Three stages with two holders each, every process a machine of its own; the nodes fetched their shards
 * from a seeder. At a random token of a reply something happens to a random stage of its route; then it is mended, and the next one begins. Every
 * reply must have the text and the end of an undisturbed one, with no token twice, or the exit code is 1.
 *
 * Of each kind of fault: `detectedMs` until the gateway looked for another way, `wentOnMs` until the next token, and `beyondMs`, what of it was
 * neither: wentOn - detected - replay, where the replay may take as long as the reply had taken until then. Goals: at most 2 s of that; of a
 * killed engine 1 s, with its detection.
 *
 * `--phases` is another question: no hang. Each fault in each phase of a reply, at each stage; then nothing may be left of it on any node.
 * `--holders 1 --recovery 5` shows which error ends a reply that nobody can go on with.
 *
 *     npm run build && npm exec -c 'node bench/kill.ts --kills 100'
 *     npm run build && npm exec -c 'node bench/kill.ts --phases'
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  type Case,
  type Disturbed,
  Disturber,
  WAYS,
} from "../test/support/disturbed.ts";
import { type FaultName, FAULTS } from "../test/support/fault.ts";
import { writeRandomModel } from "../test/support/models.ts";
import { namespacesMissing, TestNetwork } from "../test/support/namespaces.ts";
import { PHASE_MODEL, PHASES } from "../test/support/phase.ts";
import { Random, shuffled } from "../test/support/random.ts";
import { Replicas, statusOf } from "../test/support/replicas.ts";
import { Table } from "../test/support/struck.ts";
import { median, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "100" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    faults: { type: "string" },
    phases: { type: "boolean", default: false },
    holders: { type: "string", default: "2" },
    /** Seconds that a reply waits for a stage. */
    recovery: { type: "string", default: "60" },
  },
});
const STAGES = 3;
const SEED = Number(values.seed);
/** Of a hundred: each way in which a machine is lost. `--phases` has all that can happen. */
const LOSSES: readonly FaultName[] = [
  "its node is killed",
  "its engine is killed",
  "its machine hangs",
  "the next stage does not hear it",
  "its node drains",
];
const KINDS =
  values.faults?.split(",").map(faultOf) ??
  (values.phases ? Object.keys(FAULTS).map(faultOf) : LOSSES);
const BEYOND_MS = 2_000;
const ENGINE_MS = 1_000;

if (namespacesMissing !== false) throw new Error(namespacesMissing);
const undo: (() => Promise<void>)[] = [];
const end = { after: (fn: () => Promise<void>) => void undo.push(fn) };
try {
  const network = await TestNetwork.create();
  undo.push(() => network[Symbol.asyncDispose]());
  await (values.phases ? phases(network) : kills(network));
} finally {
  for (const step of undo.reverse()) await step();
}

async function kills(network: TestNetwork): Promise<void> {
  const replicas = await Replicas.start(end, {
    stages: STAGES,
    holders: Number(values.holders),
    network,
    isFetched: true,
    gatewayFlags: ["--recovery-timeout", values.recovery],
  });
  const undisturbed = await Replicas.undisturbed(end);
  const disturber = new Disturber(replicas, undisturbed, new Random(SEED));
  const atStart = await fetchedBytes(replicas);
  if ([...atStart.values()].some((bytes) => bytes === 0))
    throw new Error(
      "a node fetched nothing: the counters are not what is read",
    );
  const done: Disturbed[] = [];
  let [failed, fetched] = [0, 0];
  const all = cases(Number(values.kills));
  try {
    for (const [i, one] of all.entries()) {
      const before = await fetchedBytes(replicas);
      say(`${i + 1}: ${one.fault}, ${one.sessions} × ${one.way}`);
      try {
        const disturbed = await disturber.disturb(one);
        done.push(disturbed);
        say(`   ${pauses(disturbed)}`);
        if (isSlow(disturbed))
          for (const { ms, message } of disturbed.told)
            say(`      ${ms} ms: ${message}`);
      } catch (error) {
        failed++;
        say(`FAILED: ${String(error)}`);
      }
      await replicas.whole();
      // Of one that was started again all counts: it has its shard on its disk.
      for (const [process, bytes] of await fetchedBytes(replicas))
        fetched += bytes - (before.get(process) ?? 0);
    }
  } catch (error) {
    failed += all.length - done.length - failed;
    say(`STOPPED: ${String(error)}`);
  }
  for (const kind of KINDS)
    reportKind(
      kind,
      done.filter(({ fault }) => fault === kind),
    );
  const replies = done.flatMap((one) => one.replies);
  report({
    bench: "kill",
    seed: SEED,
    kills: done.length + failed,
    asUndisturbed: done.length,
    replies: replies.length,
    errorsSeen: failed,
    commentsSeen: replies.reduce((sum, { comments }) => sum + comments, 0),
    fetchedBytes: fetched,
    ok: failed === 0 && fetched === 0,
  });
  if (failed > 0 || fetched > 0) process.exitCode = 1;
}

function pauses({ stage, detectedMs, wentOn }: Disturbed): string {
  const each = wentOn.map(({ ms, beforeMs }) => `${ms} (${beforeMs} before)`);
  return `stage ${stage}, detected ${detectedMs ?? "-"}, went on ${each.join(", ") || "-"}`;
}

/** As many of each kind as of the others, in an order of the seed's. */
function cases(count: number): Case[] {
  const random = new Random(SEED, "cases");
  const rounds = Math.ceil(count / KINDS.length);
  const faults = Array.from({ length: rounds }, () => KINDS).flat();
  return shuffled(faults.slice(0, count), random.next()).map((fault) => ({
    fault,
    way: WAYS[random.below(WAYS.length)] ?? "greedy",
    stream: random.below(4) > 0,
    sessions: random.below(2) > 0 ? 1 : 4,
  }));
}

interface Pause {
  ms: number;
  beforeMs: number;
}

/** What may take so long, and what of a pause counts: all beyond its replay, and but for a killed engine beyond its detection. */
function goalOf(fault: FaultName): {
  goalMs: number;
  counted: (pause: Pause, detectedMs: number) => number;
} {
  return fault === "its engine is killed"
    ? { goalMs: ENGINE_MS, counted: ({ ms, beforeMs }) => ms - beforeMs }
    : {
        goalMs: BEYOND_MS,
        counted: ({ ms, beforeMs }, detectedMs) => ms - detectedMs - beforeMs,
      };
}

/** Then it is worth reading what the gateway did. */
function isSlow({ fault, wentOn, detectedMs = 0 }: Disturbed): boolean {
  const { goalMs, counted } = goalOf(fault);
  return wentOn.some((pause) => counted(pause, detectedMs) > goalMs);
}

function reportKind(fault: FaultName, all: readonly Disturbed[]): void {
  const { goalMs, counted } = goalOf(fault);
  const pauses = all.flatMap(({ wentOn, detectedMs = 0 }) =>
    wentOn.map((pause) => ({ ...pause, beyondMs: counted(pause, detectedMs) })),
  );
  const detected = all.flatMap(({ detectedMs }) => detectedMs ?? []);
  report({
    bench: "kill",
    seed: SEED,
    fault,
    faults: all.length,
    // The others had been said whole, or had no need of what was lost.
    pauses: pauses.length,
    detectedMs: medianAndWorst(detected),
    wentOnMs: medianAndWorst(pauses.map(({ ms }) => ms)),
    beyondMs: medianAndWorst(pauses.map(({ beyondMs }) => beyondMs)),
    goalMs,
    ok: all.every((one) => !isSlow(one)),
  });
}

function medianAndWorst(all: readonly number[]): object | null {
  return all.length === 0
    ? null
    : { median: round(median(all), 0), worst: Math.max(...all) };
}

/** By process. */
async function fetchedBytes({
  holders,
}: Replicas): Promise<Map<string, number>> {
  return new Map(
    await Promise.all(
      holders.map(async (holder) => {
        const { torrents } = await statusOf(holder);
        const process = `${holder.name}, ${holder.member.pid}`;
        return [process, torrents?.downloadedBytes ?? 0] as const;
      }),
    ),
  );
}

async function phases(network: TestNetwork): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "shoal-bench-"));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const model = join(folder, "model.gguf");
  await writeRandomModel(model, PHASE_MODEL);
  const replicas = await Replicas.start(end, {
    stages: STAGES,
    holders: Number(values.holders),
    model,
    network,
    gatewayFlags: ["--recovery-timeout", values.recovery],
  });
  const undisturbed = await Replicas.undisturbed(end, model);
  const recoveryMs = Number(values.recovery) * 1000;
  const table = new Table(replicas, undisturbed, recoveryMs);
  for (const fault of KINDS)
    for (const phase of PHASES) {
      const outcomes: string[] = [];
      const tookMs: number[] = [];
      for (let stage = 0; stage < STAGES; stage++)
        try {
          const cell = await table.strike(fault, phase, stage);
          outcomes.push(cell.outcome);
          tookMs.push(cell.tookMs);
        } catch (error) {
          outcomes.push("FAILED");
          say(`${fault}, ${phase}, stage ${stage}: ${String(error)}`);
          process.exitCode = 1;
          await replicas.whole();
        }
      report({ bench: "kill --phases", fault, phase, outcomes, tookMs });
    }
}

function faultOf(name: string): FaultName {
  if (Object.hasOwn(FAULTS, name)) return name as FaultName;
  throw new Error(
    `no fault "${name}"; there are ${Object.keys(FAULTS).join(", ")}`,
  );
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}
