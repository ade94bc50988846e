/**
 * Runs the tests: `npm test`, or `npm test -- FILE…`; `--name TEXT` runs those whose name has it, `--seconds` writes test/seconds.json.
 *
 * Each file is a process, as with `node --test`. Most of them wait much and compute little, some the other way round. So one file for each
 * processor runs always, and another one begins whenever the processors are idle. The slowest begin first. What a file says is printed when it ends.
 *
 * What fails beside others runs once more at the end, alone: the deadlines that it holds are those of a machine that is not overloaded. That is
 * told, with what failed, and the second run counts (docs/decisions/how-long-the-tests-take.md).
 */
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join, relative, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

const ROOT = resolve(import.meta.dirname, "..");
const SECONDS = join(import.meta.dirname, "seconds.json");
const FILES = ["test/e2e/*.test.ts", "src/**/*.test.ts", "test/**/*.test.ts"];
/** Each of these files has a process of its own: it starts others, or computes for long. */
const APART =
  /^test\/e2e\/|certificates|quantizations|hostile-memory|exactness|dht-contents/;
/** Rooms whose files wait for sockets: a room has a process. All other files compute, and have one together. A process loads the program once. */
const ROOM = /^src\/(cluster|network|transfer)\//;
const TOGETHER = join(import.meta.dirname, "support/together.ts");

const PROCESSORS = availableParallelism();
/** Files that run at the same time: some swarms beside each other, each of a dozen processes. */
const MOST = PROCESSORS + 5;
/** While rooms run: one swarm that mostly waits, since the rooms hold real deadlines of seconds. */
const BESIDE_ROOMS = PROCESSORS + 1;
/** A file that has just begun has not shown yet what it takes. */
const LOOK_MS = 1_500;
const IDLE_ENOUGH = 0.4;
/** Ends a hang. */
const FILE_MS = 600_000;
/** Processes of tests that may run a second time. If more fail, it is not the load. */
const MOST_AGAIN = 6;

type TestEvent = { type: string; data: Record<string, unknown> };

interface Counts {
  tests: number;
  passed: number;
  failed: number;
  cancelled: number;
  skipped: number;
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { name: { type: "string" }, seconds: { type: "boolean" } },
});
// The programs under test and the tests themselves are compiled once.
process.env["NODE_COMPILE_CACHE"] ??= join(ROOT, "node_modules/.cache/node");

const known = JSON.parse(readFileSync(SECONDS, "utf8")) as Record<
  string,
  number
>;
const files = globSync(positionals.length > 0 ? positionals : FILES, {
  cwd: ROOT,
})
  .filter((file, i, all) => all.indexOf(file) === i)
  .toSorted((a, b) => (known[b] ?? 0) - (known[a] ?? 0));
if (files.length === 0) throw new Error(`no file is ${positionals.join(" ")}`);

const report = new spec();
report.pipe(process.stdout);
const sum = { tests: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0 };
const seconds: Record<string, number> = {};
const startMs = performance.now();
const again: Run[] = [];
await runAll(groups(files));
for (const first of again)
  tellRun(again.length > MOST_AGAIN ? first : await runGroup(first.group));
const tookSeconds = Math.round((performance.now() - startMs) / 1000);
for (const [what, count] of Object.entries(sum)) tell(`${what} ${count}`);
tell(`${files.length} files in ${tookSeconds} s; the slowest:`);
for (const file of Object.keys(seconds)
  .toSorted((a, b) => seconds[b]! - seconds[a]!)
  .slice(0, 10))
  tell(`${String(seconds[file]).padStart(4)} s  ${file}`);
report.end();
if (options.seconds) writeFileSync(SECONDS, inOrder({ ...known, ...seconds }));
process.exitCode = isGoodRun(sum) && sum.tests > 0 ? 0 : 1;

/** What one process runs, in turn. */
type Group = readonly string[];

function groups(files: readonly string[]): Group[] {
  const apart = files.filter((file) => APART.test(file));
  const rest = files.filter((file) => !APART.test(file));
  const rooms = Object.groupBy(rest, (file) => ROOM.exec(file)?.[1] ?? "");
  // First: little else runs beside them.
  const together = Object.values(rooms).filter((room) => room !== undefined);
  return [...together, ...apart.map((file) => [file])];
}

async function runAll(groups: readonly Group[]): Promise<void> {
  const waiting = [...groups];
  const running = new Set<Promise<void>>();
  let rooms = 0;
  let look = busy();
  let lookMs = performance.now();
  while (waiting.length + running.size > 0) {
    const sinceMs = performance.now() - lookMs;
    const isRoom =
      running.size < PROCESSORS ||
      (running.size < (rooms > 0 ? BESIDE_ROOMS : MOST) &&
        sinceMs > LOOK_MS &&
        idle(look) > IDLE_ENOUGH);
    if (waiting.length > 0 && isRoom) {
      const group = waiting.shift()!;
      const isOfRoom = group.length > 1;
      if (isOfRoom) rooms++;
      const done = runGroup(group)
        .then((first) => {
          if (isGoodRun(first.counts) || groups.length === 1) {
            tellRun(first);
            return;
          }
          again.push(first);
          tell(`${nameOf(first)} failed beside others, to run again alone:`);
          for (const failure of failures(first)) tell(`  ${failure}`);
        })
        .finally(() => {
          running.delete(done);
          if (isOfRoom) rooms--;
        });
      running.add(done);
    }
    if (isRoom || sinceMs > 2 * LOOK_MS)
      [look, lookMs] = [busy(), performance.now()];
    if (!isRoom || waiting.length === 0)
      await Promise.race([...running, pause(250)]);
  }
}

interface Run {
  group: Group;
  said: readonly TestEvent[];
  counts: Counts;
  tookMs: number;
}

async function runGroup(group: Group): Promise<Run> {
  const [first] = group.map((file) => resolve(ROOT, file));
  const isOne = group.length === 1;
  const stream = run({
    files: [isOne ? first! : TOGETHER],
    argv: isOne ? [] : [...group],
    timeout: FILE_MS,
    ...(options.name && { testNamePatterns: [options.name] }),
  });
  const said: TestEvent[] = [];
  const startMs = performance.now();
  for await (const event of stream as AsyncIterable<TestEvent>)
    said.push(event);
  const tookMs = performance.now() - startMs;
  const ofRun = said.find(
    ({ type, data }) => type === "test:summary" && data["file"] === undefined,
  );
  if (ofRun === undefined) throw new Error(`${group[0]} has no summary`);
  return { group, said, counts: ofRun.data["counts"] as Counts, tookMs };
}

function nameOf({ group }: { group: Group }): string {
  return group.length === 1
    ? group[0]!
    : `${group.length} files in one process`;
}

function isGoodRun({ failed, cancelled }: Counts): boolean {
  return failed + cancelled === 0;
}

/** The names of its tests that failed, with the first line of why. */
function failures({ said }: Run): string[] {
  return said.flatMap(({ type, data }) => {
    const { error } = (data["details"] ?? {}) as { error?: Error };
    const cause = error?.cause instanceof Error ? error.cause : error;
    const [why] = String(cause?.message).split("\n");
    return type === "test:fail" ? `${String(data["name"])}: ${why}` : [];
  });
}

/** Prints what it said, and counts it. */
function tellRun({ group, said, counts, tookMs }: Run): void {
  tell(`${nameOf({ group })}:`);
  for (const what of Object.keys(sum) as (keyof Counts)[])
    sum[what] += counts[what];
  const byFile = new Map<string, number>();
  for (const { type, data } of said) {
    const isOfRun = data["file"] === undefined;
    if (!isOfRun || !/^test:(summary|diagnostic)$/.test(type))
      report.write({ type, data });
    if (/^test:(pass|fail)$/.test(type) && data["nesting"] === 0) {
      const file = relative(ROOT, String(data["file"]));
      const { duration_ms } = data["details"] as { duration_ms: number };
      byFile.set(file, (byFile.get(file) ?? 0) + duration_ms);
    }
  }
  if (group.length === 1) byFile.set(group[0]!, tookMs);
  for (const [file, ms] of byFile) seconds[file] = Math.round(ms / 1000);
}

function tell(message: string): void {
  report.write({ type: "test:diagnostic", data: { nesting: 0, message } });
}

interface Busy {
  idle: number;
  all: number;
}

function busy(): Busy {
  const times = cpus().map(({ times }) => times);
  const of = (t: (typeof times)[number]): number =>
    t.user + t.nice + t.sys + t.irq + t.idle;
  return {
    idle: times.reduce((sum, { idle }) => sum + idle, 0),
    all: times.reduce((sum, each) => sum + of(each), 0),
  };
}

/** The part of the time since then that the processors had nothing to do. */
function idle(since: Busy): number {
  const now = busy();
  return (now.idle - since.idle) / Math.max(1, now.all - since.all);
}

function inOrder(seconds: Readonly<Record<string, number>>): string {
  const entries = Object.entries(seconds).filter(
    ([file, each]) => each > 0 && existsSync(join(ROOT, file)),
  );
  const sorted = entries.toSorted(([, a], [, b]) => b - a);
  return `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`;
}
