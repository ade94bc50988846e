/** The package: its files, and that it runs where npm installs it, under a current and an old Node. */
import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { ANY_PORTS, processesOf } from "../support/cli.ts";
import { makeConsumer, typeCheck } from "../support/consumer.ts";
import { temporaryFolder } from "../support/folder.ts";
import {
  noOldNode,
  noRegistry,
  npm,
  npx,
  OLD_NODE,
  type Output,
  pack,
  userEnvironment,
} from "../support/package.ts";
import { runProgram } from "../support/program.ts";
import { ENTRY, ROOT } from "../support/swarm.ts";
import { until } from "../support/until.ts";

/** Those that need no other package. */
const LIBRARY_EXAMPLES = [
  "one-process.ts",
  "publish-and-download.ts",
  "split-and-verify.ts",
  "watch.ts",
];

const unreachable = await noRegistry();

describe("installed with npm", { skip: unreachable ?? false }, () => {
  let folder = "";
  let tarball = "";
  let files: string[] = [];
  const place = (name: string): string => join(folder, name);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "shoal-package-"));
    await Promise.all([mkdir(place("app")), mkdir(place("home"))]);
    ({ tarball, files } = await pack(folder));
    await npm(["install", "--cache", place("cache"), tarball], {
      cwd: place("app"),
      node: OLD_NODE,
    });
  });
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));

  const story = (node: string): string[] => [
    "up",
    "--once",
    "--home",
    place(`home/${node}`),
    ...ANY_PORTS,
  ];
  const assertStory = (
    { stdout, stderr }: Output,
    home: string,
    by = "4 nodes",
  ): void => {
    assert.ok(stdout.trim().split(/\s+/).length > 30, stdout);
    assert.match(stderr, new RegExp(`\\d+ tokens by ${by}`));
    assert.deepEqual(processesOf(place(`home/${home}`)), []);
  };

  test("holds the program and the demo model, and no source, test or corpus", () => {
    const top = ["README.md", "LICENSE", "package.json", "CHANGELOG.md"];
    const allowed =
      /^(bin\/\w+\.js|dist\/(page\/.+|[\w-]+\.js|index\.d\.ts|LICENSES\.txt)|models\/demo\/shoal-demo\.gguf)$/;
    assert.deepEqual(
      files.filter((path) => !allowed.test(path) && !top.includes(path)),
      [],
    );
    for (const path of [
      "dist/shoal.js",
      "dist/child.js",
      "dist/index.d.ts",
      "dist/page/index.html",
      "dist/LICENSES.txt",
    ])
      assert.ok(files.includes(path), path);
  });

  test("npx shoal up --once tells a story under a current Node", async () => {
    const args = ["shoal", ...story("new")];
    assertStory(await npx(args, { cwd: place("app") }), "new");
  });

  test(
    "npx shoal up --once tells a story under an old Node",
    { skip: noOldNode },
    async () => {
      const args = ["shoal", ...story("old")];
      const run = await npx(args, { cwd: place("app"), node: OLD_NODE });
      assertStory(run, "old");
    },
  );

  test("its library is imported: examples compile with nothing but the types of Node, and a swarm runs in one process", async () => {
    const program = place("app/program");
    await makeConsumer(program);
    for (const name of LIBRARY_EXAMPLES)
      await cp(join(ROOT, "examples", name), join(program, name));
    await typeCheck(program);
    const run = await runProgram(join(program, "one-process.ts"));
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /^Once upon a time/);
  });

  test("installed globally, shoal is a command that tells a story", async () => {
    const node = OLD_NODE ?? process.execPath;
    const prefix = ["--global", "--prefix", place("global")];
    await npm(["install", "--cache", place("cache"), ...prefix, tarball], {
      cwd: folder,
      node,
    });
    // Here no npm puts another Node into the path: the program itself finds the one that it needs.
    const run = await promisify(execFile)(
      place("global/bin/shoal"),
      [...story("global"), "--nodes", "1"],
      { cwd: folder, env: userEnvironment(node) },
    );
    assertStory(run, "global", "1 node");
  });
});

test("a checkout without a build and without what the sources need says so in one line", async (t) => {
  const folder = await temporaryFolder(t);
  for (const part of ["bin", "src", "package.json"])
    await cp(join(ROOT, part), join(folder, part), { recursive: true });
  const entry = join(folder, "bin/shoal.js");
  const run = spawnSync(process.execPath, [entry, "--version"]);
  assert.match(run.stderr.toString(), /^shoal: .*"npm ci" \(NOT_BUILT\)\n$/);
  assert.equal(run.status, 69);
});

describe("under an old Node", { skip: noOldNode }, () => {
  const env = userEnvironment(OLD_NODE ?? "");

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    test(`${signal} reaches the program, which stops in order`, async (t) => {
      const home = await temporaryFolder(t);
      const args = ["rendezvous", "--home", home, "--listen", "127.0.0.1:0"];
      const child = spawn(
        OLD_NODE ?? "",
        [ENTRY, ...args, "--diagnostics-port", "0"],
        { env, stdio: ["ignore", "pipe", "inherit"] },
      );
      t.after(() => child.kill("SIGKILL"));
      let output = "";
      const exited = once(child, "exit");
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        // It is up, and answers this one with a report.
        if (text.includes("[DHT]")) child.kill("SIGUSR2");
        if (text.includes("Version ")) child.kill(signal);
      });
      assert.deepEqual(await exited, [0, null], output);
      assert.deepEqual(processesOf(home), []);
    });

  test("the program stops when the process that wraps it is killed", async (t) => {
    const home = await temporaryFolder(t);
    const args = ["rendezvous", "--home", home, "--listen", "127.0.0.1:0"];
    const wrapper = spawn(
      OLD_NODE ?? "",
      [ENTRY, ...args, "--diagnostics-port", "0"],
      { env, stdio: ["ignore", "pipe", "inherit"] },
    );
    t.after(() => wrapper.kill("SIGKILL"));
    let output = "";
    wrapper.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      // It is up.
      if (text.includes("[DHT]")) wrapper.kill("SIGKILL");
    });
    // The program writes there as well.
    await once(wrapper.stdout, "close");
    assert.match(output, /draining/);
    await until("its end", () => processesOf(home).length === 0);
  });

  test("its exit code is the program's, and so is the signal that ends it", async (t) => {
    const run = spawnSync(OLD_NODE ?? "", [ENTRY, "frob"], { env });
    assert.equal(run.status, 64, run.stderr.toString());
    const home = await temporaryFolder(t);
    const args = ["rendezvous", "--home", home, "--listen", "127.0.0.1:0"];
    const parent = spawn(
      OLD_NODE ?? "",
      [ENTRY, ...args, "--diagnostics-port", "0"],
      { env, stdio: ["ignore", "pipe", "inherit"] },
    );
    t.after(() => parent.kill("SIGKILL"));
    const exited = once(parent, "exit");
    await once(parent.stdout, "data");
    const [program] = processesOf(home).filter((pid) => pid !== parent.pid);
    process.kill(program!, "SIGKILL");
    assert.deepEqual(await exited, [null, "SIGKILL"]);
  });

  test("without the Node that it needs it says so in one line", async (t) => {
    const folder = await temporaryFolder(t);
    await cp(join(ROOT, "bin"), join(folder, "bin"), { recursive: true });
    await cp(join(ROOT, "package.json"), join(folder, "package.json"));
    const entry = join(folder, "bin/shoal.js");
    const run = spawnSync(OLD_NODE ?? "", [entry, "--version"], { env });
    assert.match(
      run.stderr.toString(),
      /^shoal: .*needs Node 24 .*\(NODE_VERSION\)\n$/,
    );
    assert.equal(run.status, 69);
    assert.equal(run.stdout.toString(), "");
  });
});
