/** Standard output that fails before the program ends: its reader is gone, or the disk is full. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { ANY_PORTS, inTerminal, processesOf } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { freePort } from "../support/wires.ts";
import { DEMO_MODEL, ENTRY } from "../support/swarm.ts";
import { until } from "../support/until.ts";

/** As a shell reports what SIGPIPE ended. */
const CLOSED = 141;
const DISK_FULL = 73;

/** Starts the program; what its standard output is connected to decides the test. */
function start(
  args: readonly string[],
  home: string,
  stdout: "pipe" | number,
  stderr: "pipe" | number = "pipe",
): ChildProcess {
  return spawn(process.execPath, [ENTRY, ...args], {
    stdio: ["ignore", stdout, stderr],
    env: { ...process.env, SHOAL_HOME: home },
  });
}

async function end(child: ChildProcess): Promise<number | string | null> {
  const [code, signal] = (await once(child, "close")) as [number, string];
  return code ?? signal;
}

/** Commands that print an answer and need no swarm for it. */
function commands(folder: string): string[][] {
  return [
    ["--help"],
    ["--version"],
    ["chat", "--help"],
    ["inspect", DEMO_MODEL],
    ["split", DEMO_MODEL, "--shards", "2", "--out", join(folder, "split")],
    ["verify", DEMO_MODEL],
    ["doctor", "--timeout", "1"],
  ];
}

test("a closed pipe ends a command quietly, as SIGPIPE would", async (t) => {
  const folder = await temporaryFolder(t);
  for (const args of commands(folder)) {
    const child = start(args, folder, "pipe");
    child.stdout!.destroy();
    const [code, stderr] = await Promise.all([end(child), text(child.stderr!)]);
    assert.deepEqual([args, code, stderr], [args, CLOSED, ""]);
  }
});

test("a full disk behind standard output is an error of one line", async (t) => {
  const folder = await temporaryFolder(t);
  const full = await open("/dev/full", "w");
  t.after(() => full.close());
  for (const args of commands(folder)) {
    const child = start(args, folder, full.fd);
    const [code, stderr] = await Promise.all([end(child), text(child.stderr!)]);
    assert.equal(
      stderr,
      "shoal: cannot write to standard output: no space left on device (DISK_FULL)\n",
    );
    assert.deepEqual([args, code], [args, DISK_FULL]);
  }
});

test("a closed standard error changes nothing about the answer", async (t) => {
  const folder = await temporaryFolder(t);
  const fine = start(["inspect", DEMO_MODEL], folder, "pipe");
  const wrong = start(["inspect", join(folder, "none")], folder, "pipe");
  for (const child of [fine, wrong]) child.stderr!.destroy();
  wrong.stdout!.resume();
  const [code, answer, failure] = await Promise.all([
    end(fine),
    text(fine.stdout!),
    end(wrong),
  ]);
  assert.deepEqual([code, failure], [0, 66]);
  assert.match(answer, /quantization/);
});

/** Runs until SIGTERM; the page says that it goes on. */
async function role(
  t: TestContext,
  args: string[],
  stdio: { stdout: "pipe" | number; stderr?: number },
): Promise<{ child: ChildProcess; url: string }> {
  const port = await freePort();
  const place = ["--diagnostics-host", "127.0.0.1", "--diagnostics-port"];
  const child = start(
    [...args, "--log-level", "debug", ...place, String(port)],
    await temporaryFolder(t),
    stdio.stdout,
    stdio.stderr,
  );
  t.after(() => child.kill("SIGKILL"));
  return { child, url: `http://127.0.0.1:${port}` };
}

async function answers(url: string): Promise<boolean> {
  return await fetch(`${url}/api/v1/status`).then(
    ({ ok }) => ok,
    () => false,
  );
}

test("a role whose output closes continues without a log and stops at SIGTERM", async (t) => {
  const listen = `127.0.0.1:${await freePort()}`;
  const member = ["--bootstrap", listen, "--cluster", "c"];
  member.push("--listen", "127.0.0.1:0");
  const roles = [
    ["rendezvous", "--listen", listen],
    ["node", ...member],
    ["seed", DEMO_MODEL, "--shards", "2", ...member],
    ["serve", ...member, "--api-port", "0"],
  ];
  const running = [];
  for (const args of roles) {
    const { child, url } = await role(t, args, { stdout: "pipe" });
    const stderr = text(child.stderr!);
    await once(child.stdout!, "data");
    child.stdout!.destroy();
    running.push({ name: args[0], child, url, stderr });
    await until(`${args[0]} answering`, () => answers(url));
  }
  for (const { name, child, stderr } of running.toReversed()) {
    child.kill("SIGTERM");
    assert.deepEqual([name, await end(child)], [name, 0]);
    assert.equal(
      await stderr,
      "shoal: standard output is closed; going on without a log\n",
    );
  }
});

test("a role continues if there is no room for its log and its errors", async (t) => {
  const full = await open("/dev/full", "w");
  t.after(() => full.close());
  const { child, url } = await role(
    t,
    ["rendezvous", "--listen", "127.0.0.1:0"],
    { stdout: full.fd, stderr: full.fd },
  );
  await until("the rendezvous answering", () => answers(url));
  child.kill("SIGTERM");
  assert.equal(await end(child), 0);
});

test("a closed terminal stops a role in order", async (t) => {
  const { child } = await role(t, ["rendezvous", "--listen", "127.0.0.1:0"], {
    stdout: "pipe",
  });
  let log = "";
  child.stdout!.setEncoding("utf8").on("data", (part) => (log += part));
  await until("the rendezvous ready", () => log.includes("answers"));
  child.kill("SIGHUP");
  child.kill("SIGHUP");
  assert.equal(await end(child), 0);
  assert.match(log, /stopped\n$/);
});

test("a swarm whose reply nobody reads is stopped, and leaves nothing", async (t) => {
  const home = await temporaryFolder(t);
  const child = start(["up", "--nodes", "2", ...ANY_PORTS], home, "pipe");
  child.stdout!.destroy();
  const [code, stderr] = await Promise.all([end(child), text(child.stderr!)]);
  assert.equal(code, CLOSED, stderr);
  assert.match(stderr, /gateway ready/);
  assert.doesNotMatch(stderr, /shoal:|Error/);
  assert.deepEqual(processesOf(home), []);
});

test("colours: in a terminal, unless NO_COLOR; elsewhere with FORCE_COLOR", async (t) => {
  const home = await temporaryFolder(t);
  const doctor = ["doctor", "--timeout", "1"];
  const isColored = (output: string): boolean => {
    assert.match(output, /[✓✗]/);
    return output.includes("\u001B[3");
  };
  const inPipe = async (env: NodeJS.ProcessEnv): Promise<string> => {
    const child = spawn(process.execPath, [ENTRY, ...doctor], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { PATH: process.env.PATH, SHOAL_HOME: home, ...env },
    });
    return await text(child.stdout);
  };
  assert.ok(
    (await inTerminal(doctor, { SHOAL_HOME: home })).endsWith("HOST\r\n"),
  );
  for (const [output, expected] of [
    [inTerminal(doctor, { SHOAL_HOME: home }), true],
    [inTerminal(doctor, { SHOAL_HOME: home, NO_COLOR: "1" }), false],
    [inTerminal(doctor, { SHOAL_HOME: home, TERM: "dumb" }), false],
    [inPipe({}), false],
    [inPipe({ FORCE_COLOR: "1" }), true],
  ] as const)
    assert.equal(isColored(await output), expected);
});

test("the log is coloured the same way", async (t) => {
  const home = await temporaryFolder(t);
  const args = ["rendezvous", "--home", home, "--listen", "127.0.0.1:0"];
  for (const [color, expected] of [
    ["0", false],
    ["1", true],
  ] as const) {
    const child = spawn(
      process.execPath,
      [ENTRY, ...args, "--diagnostics-port", "0"],
      {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, FORCE_COLOR: color },
      },
    );
    t.after(() => child.kill("SIGKILL"));
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    assert.equal(line.includes("\u001B["), expected);
    child.kill("SIGTERM");
    await once(child, "exit");
  }
});
