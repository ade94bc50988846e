/**
 * A cluster that never rests: every 20 s a node joins, drains or is killed at random, while clients ask all the time. Three stages, each with one node
 * that stays, and up to six nodes that come and go, new ones and ones that were here before. Every reply must have the text and the end of an
 * undisturbed one, none may hang, and the memory of what stays must be flat: of each process the median of the last quarter of the time after
 * the warm-up against that of the first. The exit code is 1 unless all of that holds.
 *
 *     npm run build && npm exec -c 'node bench/soak.ts --minutes 60'
 */
import { parseArgs } from "node:util";
import { sleep } from "../src/lib/index.ts";
import { engineOf } from "../test/support/fault.ts";
import { Load } from "../test/support/load.ts";
import { Random } from "../test/support/random.ts";
import { Replicas } from "../test/support/replicas.ts";
import { Guests } from "./guests.ts";
import { MemoryCourse } from "./memory-course.ts";
import { report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    /** Of these: caches fill, and V8 learns how much room it needs. */
    "warm-minutes": { type: "string", default: "5" },
    "every-s": { type: "string", default: "20" },
    clients: { type: "string", default: "3" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
  },
});
const MINUTES = Number(values.minutes);
const WARM_MS = 60_000 * Number(values["warm-minutes"]);
const EVERY_MS = 1_000 * Number(values["every-s"]);
const STAGES = 3;
/** Growth of the median from the first quarter to the last that is still flat. */
const FLAT = 1.1;

const undo: (() => Promise<void>)[] = [];
const end = { after: (fn: () => Promise<void>) => void undo.push(fn) };
try {
  await soak();
} finally {
  for (const step of undo.reverse()) await step();
}

async function soak(): Promise<void> {
  const replicas = await Replicas.start(end, {
    stages: STAGES,
    holders: 1,
    isFetched: true,
  });
  const undisturbed = await Replicas.undisturbed(end);
  const memory = memoryOf(replicas);
  const guests = new Guests(replicas, new Random(Number(values.seed)));
  const load = await Load.start(
    end,
    { replicas, undisturbed },
    { clients: Number(values.clients) },
  );
  say(`seed ${values.seed}`);
  const warm = setTimeout(() => memory.start(), WARM_MS);
  undo.push(async () => {
    clearTimeout(warm);
    memory.end();
  });
  const endMs = performance.now() + MINUTES * 60_000;
  for (let next = performance.now() + EVERY_MS; next < endMs;) {
    await sleep(Math.max(0, next - performance.now()));
    next += EVERY_MS;
    say(`${await guests.change()}; ${load.ended} replies`);
  }
  await sleep(Math.max(0, endMs - performance.now()));
  await guests.settled();
  const { whole, failures, recoveries, firstMs, pauseMs } = await load.stop();
  memory.stop();
  for (const failure of failures) say(failure);
  const courses = memory.courses();
  const isFlat = courses.every(({ growth }) => growth <= FLAT);
  for (const course of courses) report({ bench: "soak", ...course });
  const ok = failures.length === 0 && isFlat;
  if (!ok) process.exitCode = 1;
  report({
    bench: "soak",
    seed: Number(values.seed),
    minutes: MINUTES,
    ...guests.counts,
    replies: whole,
    failed: failures.length,
    hung: failures.filter((line) => line.includes("TimeoutError")).length,
    recoveries,
    longestFirstMs: firstMs,
    longestPauseMs: pauseMs,
    growthMost: round(Math.max(...courses.map(({ growth }) => growth)), 3),
    ok,
  });
}

/** Of all processes that are there from the start to the end. */
function memoryOf({ gateway, rendezvous, seeder, holders }: Replicas) {
  const memory = new MemoryCourse();
  for (const machine of [gateway, rendezvous, seeder, ...holders])
    if (machine !== undefined) memory.add(machine.name, machine.member.pid);
  for (const { name, member } of holders)
    memory.add(`${name}'s engine`, engineOf(member.pid));
  memory.add("gateway's tokenizer", engineOf(gateway.member.pid));
  return memory;
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}
