/** Checks what `deploy/` tells systemd and Docker against the program. No image is built and no unit started here. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { parse } from "yaml";
import { z } from "zod";
import { refusalOf } from "./support/command-line.ts";
import { shoal } from "./support/cli.ts";
import { temporaryFolder } from "./support/folder.ts";
import { ENTRY, ROOT } from "./support/swarm.ts";

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const UNIT = "deploy/systemd/shoal@.service";
const systemdMissing =
  spawnSync("systemd-analyze", ["--version"]).status === 0
    ? false
    : "systemd-analyze is not here";

/** The unit with this checkout's program, because systemd looks for it. */
async function unitHere(t: TestContext) {
  const path = join(await temporaryFolder(t), basename(UNIT));
  writeFileSync(
    path,
    read(UNIT).replace(/^ExecStart=shoal/m, `ExecStart=${ENTRY}`),
  );
  return path;
}

test(
  "systemd accepts the unit and rates it as well isolated",
  { skip: systemdMissing },
  async (t) => {
    const path = await unitHere(t);
    const verified = spawnSync("systemd-analyze", ["verify", path]);
    assert.equal(String(verified.stderr), "");
    assert.equal(verified.status, 0);
    // systemd's own scale, from 0 (isolated) to 100 (like any program of root)
    const args = ["security", "--offline=true", "--threshold=20", path];
    const judged = spawnSync("systemd-analyze", args);
    assert.equal(judged.status, 0, String(judged.stdout));
  },
);

test("each role's variables are options of its command", async () => {
  const files = globSync("deploy/systemd/*.env", { cwd: ROOT });
  assert.ok(files.length >= 4);
  for (const file of files) {
    const role = basename(file, ".env");
    const { ARGUMENTS = "", ...env } = variablesIn(read(file));
    const args = [role, ...ARGUMENTS.split(" ")].filter((word) => word !== "");
    assert.equal(await refusalOf(args, env), undefined, file);
  }
});

/** Including those that are commented out, because somebody will remove the "#". */
function variablesIn(text: string): Record<string, string> {
  const found = text.matchAll(/^#?([A-Z_]+)=(.+)$/gm);
  return Object.fromEntries(
    Array.from(found, ([, name = "", value = ""]) => [name, value]),
  );
}

const Service = z.object({
  image: z.literal("shoal"),
  build: z.object({ context: z.string(), dockerfile: z.string() }).optional(),
  command: z.array(z.string()).min(1),
  environment: z.record(z.string(), z.coerce.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
});
const Compose = z.object({
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.unknown()),
});

const COMPOSE = "deploy/docker/compose.yaml";
const compose = () => Compose.parse(parse(read(COMPOSE), { merge: true }));
const dockerfile = read("deploy/docker/Dockerfile");
const imageEnv = Object.fromEntries(
  Array.from(
    dockerfile.matchAll(/(SHOAL_[A-Z_]+)=(\S+)/g),
    ([, name = "", value = ""]) => [name, value],
  ),
);

/** As Compose fills in `${NAME:-default}` and `${NAME:?why}`. */
function filled(text: string): string {
  return text.replaceAll(
    /\$\{[A-Z_]+:([-?])([^}]*)\}/g,
    (_, kind: string, value: string) => (kind === "-" ? value : "given"),
  );
}

test("each service's command and variables are the program's", async () => {
  for (const [name, service] of Object.entries(compose().services)) {
    const own = Object.entries(service.environment).map(
      ([key, value]) => [key, filled(value)] as const,
    );
    const env = { ...imageEnv, ...Object.fromEntries(own) };
    assert.equal(await refusalOf(service.command, env), undefined, name);
  }
});

test("what the services mount, build and publish is there", () => {
  const { services, volumes } = compose();
  const exposed = new Set(
    /^EXPOSE (.+)$/m.exec(dockerfile)?.[1]?.split(" ") ?? [],
  );
  const folder = join(ROOT, dirname(COMPOSE));
  for (const { build, ports, volumes: mounts } of Object.values(services)) {
    if (build !== undefined)
      assert.ok(existsSync(resolve(folder, build.context, build.dockerfile)));
    for (const port of ports) {
      const inside = port.split(":").at(-1)!;
      assert.ok(exposed.has(inside.includes("/") ? inside : `${inside}/tcp`));
    }
    for (const mount of mounts) {
      const [source = ""] = filled(mount).split(":");
      if (source.startsWith(".")) assert.ok(existsSync(join(folder, source)));
      else assert.ok(Object.hasOwn(volumes, source), source);
    }
  }
});

test("the image is made of what `npm pack` writes, on the Node that Shoal needs", () => {
  const { name, version } = z
    .object({ name: z.string(), version: z.string() })
    .parse(JSON.parse(read("package.json")));
  const pattern = /^COPY (\S+) /m.exec(dockerfile)?.[1]?.replace("*", ".+");
  assert.match(`${name}-${version}.tgz`, new RegExp(`^${pattern}$`));
  assert.match(dockerfile, /^FROM node:24-slim$/m);
  assert.match(read("bin/shoal.js"), /^const NEEDED = 24;$/m);
});

test("the image's health check passes while a role runs, and fails without one", async (t) => {
  const home = await temporaryFolder(t);
  const [, , script = ""] = z
    .array(z.string())
    .parse(JSON.parse(/^HEALTHCHECK.*\n +CMD (.+)$/m.exec(dockerfile)![1]!));
  const port = imageEnv.SHOAL_DIAGNOSTICS_PORT!;
  assert.ok(script.includes(`:${port}/health`));
  const check = async (url: string) => {
    const there = script.replace(`http://127.0.0.1:${port}`, url);
    return await promisify(execFile)(process.execPath, ["-e", there]).then(
      () => 0,
      (error: { code?: number }) => error.code,
    );
  };
  let checked: Promise<number | undefined> | undefined;
  let url = "";
  const args = ["--diagnostics-port", "0", "--diagnostics-host", "127.0.0.1"];
  await shoal(
    ["rendezvous", "--listen", "127.0.0.1:0", "--home", home, ...args],
    {
      onOutput: (child, output) => {
        url = /url=(http:\/\/[\d.:]+)/.exec(output)?.[1] ?? "";
        if (url === "") return;
        checked ??= check(url).finally(() => child.kill("SIGTERM"));
      },
    },
  );
  assert.equal(await checked, 0);
  assert.equal(await check(url), 1);
});
