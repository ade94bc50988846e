/**
 * How soon is it there? The built program against the same sources unbuilt, side by side: `--help`, a shard node from its start until it
 * is ready to serve, and a whole swarm from its start until the first word of its story. Both run with their compile cache warm.
 *
 *     npm run build && npm exec -c 'node bench/start.ts'
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { splitModel } from "../src/model/index.ts";
import type { RoleMessage } from "../src/roles/index.ts";
import type { RoleInfo } from "../src/roles/role.ts";
import { ANY_PORTS } from "../test/support/cli.ts";
import { assertBuilt, DEMO_MODEL, ROOT } from "../test/support/swarm.ts";
import { median, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: "7" },
    /** The slow one. */
    swarms: { type: "string", default: "3" },
  },
});
assertBuilt();
const folder = await mkdtemp(join(tmpdir(), "shoal-start-"));
const env = Object.fromEntries(
  Object.entries(process.env).filter(([key]) => !key.startsWith("NODE_")),
);
let homes = 0;
const home = (): string => join(folder, `home-${homes++}`);

try {
  const shards = join(folder, "shards");
  await splitModel({ path: DEMO_MODEL, outDir: shards, shards: 4 });
  const built = join(ROOT, "bin/shoal.js");
  const unbuilt = await sourcesAlone();
  const local = ["--listen", "127.0.0.1:0", "--diagnostics-port", "0"];
  const rendezvous = role(built, ["rendezvous", "--home", home(), ...local]);
  const { addresses } = await ready(rendezvous);
  const node = async (entry: string): Promise<void> => {
    const args = ["--bootstrap", addresses.join(","), "--cluster", "c"];
    const shard = ["--shard", "0/4", "--model-dir", shards];
    const own = ["--home", home(), ...local];
    const child = role(entry, ["node", ...own, ...args, ...shard]);
    await ready(child);
    ended.push(stop(child));
  };
  const ended: Promise<void>[] = [];
  const settled = async (): Promise<void> => {
    await Promise.all(ended.splice(0));
  };
  const bare = await times(
    Number(values.pairs),
    () => run(["-e", "0"]),
    settled,
  );
  report({ bench: "start", what: "node alone", ms: round(median(bare), 0) });
  await compare("--help", values.pairs, (entry) => run([entry, "--help"]));
  await compare("node ready to serve", values.pairs, node);
  await compare("up --once, first word", values.swarms, async (entry) => {
    const args = ["up", "--once", "--home", home(), ...ANY_PORTS];
    const child = spawn(process.execPath, [entry, ...args], {
      env,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const exited = once(child, "exit");
    await once(child.stdout.setEncoding("utf8"), "data");
    ended.push(exited.then(() => {}));
  });
  await stop(rendezvous);

  async function compare(
    what: string,
    count: string,
    start: (entry: string) => Promise<void>,
  ): Promise<void> {
    for (const entry of [built, unbuilt]) await start(entry); // fills the caches
    await settled();
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let pair = 0; pair < Number(count); pair++) {
      ours.push(...(await times(1, () => start(built), settled)));
      theirs.push(...(await times(1, () => start(unbuilt), settled)));
    }
    report({
      bench: "start",
      what,
      pairs: ours.length,
      builtMs: round(median(ours), 0),
      unbuiltMs: round(median(theirs), 0),
      ratio: round(median(ours.map((ms, i) => ms / (theirs[i] ?? NaN))), 2),
      builtLeastMs: round(Math.min(...ours), 0),
      load: loadavg()[0],
    });
  }
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 10 });
}

/** The same program without dist. */
async function sourcesAlone(): Promise<string> {
  const copy = join(folder, "sources");
  await mkdir(copy);
  for (const part of ["bin", "src", "package.json", "models/demo"])
    await cp(join(ROOT, part), join(copy, part), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
  return join(copy, "bin/shoal.js");
}

/** Milliseconds of each; what was started has ended before the next one starts. */
async function times(
  count: number,
  work: () => Promise<void>,
  settled: () => Promise<void>,
): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    const startMs = performance.now();
    await work();
    all.push(performance.now() - startMs);
    await settled();
  }
  return all;
}

async function run(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, args, { env, stdio: "ignore" });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}`);
}

function role(entry: string, args: readonly string[]): ChildProcess {
  return fork(entry, args, {
    env,
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
}

async function ready(child: ChildProcess): Promise<RoleInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<RoleInfo>();
  child.on("message", (message: RoleMessage) => {
    if (message.type === "ready") resolve(message.info);
    if (message.type === "failed") reject(new Error(message.error.message));
  });
  child.on("exit", (code) => reject(new Error(`it ended with ${code}`)));
  return await promise;
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}
