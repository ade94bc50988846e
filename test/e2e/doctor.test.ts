/** Real machines with one fault each; `shoal doctor` must name it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  truncate,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { splitModel } from "../../src/model/index.ts";
import type { DoctorOptions } from "../../src/doctor/examination.ts";
import type { DoctorReport } from "../../src/doctor/index.ts";
import { CAUSES } from "../../src/doctor/causes.ts";
import { givenUpPath } from "../../src/status/index.ts";
import { shoal } from "../support/cli.ts";
import { assertCause, EXIT_UNHEALTHY, Practice } from "../support/doctor.ts";
import { writeRandomModel } from "../support/models.ts";
import { DEMO_MODEL } from "../support/swarm.ts";

let practice: Practice;
const undo: (() => Promise<void>)[] = [];
before(async () => {
  practice = await Practice.open({ after: (fn) => void undo.push(fn) });
});
after(async () => {
  for (const fn of undo.reverse()) await fn();
});

describe("what is typed", { concurrency: 3 }, () => {
  test("everything works: no cause, exit code 0", async () => {
    const own = ["--shard", "0/2", "--model-dir", practice.shards];
    const { report, code } = await practice.run([
      "--bootstrap",
      practice.cluster.bootstrap,
      "--cluster",
      "test",
      ...own,
    ]);
    assert.deepEqual(
      report.findings.filter(({ state }) => state === "problem"),
      [],
    );
    assert.deepEqual(
      [report.healthy, report.cause, code],
      [true, undefined, 0],
    );
    const checked = report.findings
      .filter(({ state }) => state === "ok")
      .map(({ check }) => check);
    for (const check of [
      "udp",
      "tcp",
      "version",
      "clock",
      "dht",
      "state",
      "model",
      "disk",
      "gpu",
      "memory",
      "cluster",
      "shards",
    ])
      assert.ok(checked.includes(check as never), `${check} was not checked`);
  });

  test("no bootstrap", async () => {
    const { report, code } = await practice.run([]);
    assertCause(report, "BOOTSTRAP_MISSING", /no bootstrap was given/);
    assert.equal(code, EXIT_UNHEALTHY);
  });

  test("a malformed address, as text", async () => {
    const result = await shoal([
      "doctor",
      "--home",
      practice.home,
      "--bootstrap",
      "127.0.0.1:99999",
    ]);
    assert.equal(result.code, EXIT_UNHEALTHY);
    assert.match(result.stdout, /^✗ bootstrap .*the port must be 0 to 65535/m);
    assert.match(result.stdout, /^Cause: .*\(ADDRESS_MALFORMED\)$/m);
    assert.match(result.stdout, /^Next: {2}write it as HOST/m);
  });

  test("a name without an address", async () => {
    const report = await practice.examine({
      bootstraps: ["no-such-host.invalid"],
    });
    assertCause(
      report,
      "NAME_UNRESOLVED",
      /no-such-host\.invalid has no address/,
    );
  });
});

describe("this machine", { concurrency: 4 }, () => {
  const good = (): Pick<
    DoctorOptions,
    "bootstraps" | "cluster" | "shard" | "modelDir"
  > => ({
    bootstraps: [practice.cluster.bootstrap],
    cluster: "test",
    shard: { index: 0, count: 2 },
    modelDir: practice.shards,
  });

  test("the model folder is missing or not a folder", async () => {
    const missing = await practice.examine({
      ...good(),
      modelDir: join(practice.home, "nowhere"),
    });
    assertCause(missing, "MODEL_DIR_UNREADABLE", /it does not exist/);
    const file = await practice.examine({ ...good(), modelDir: DEMO_MODEL });
    assertCause(file, "MODEL_DIR_UNREADABLE", /it is not a folder/);
  });

  test("the shard's file is truncated", async () => {
    const dir = await copyOfShards();
    await truncate(join(dir, "shard-0.gguf"), 100_000);
    const report = await practice.examine({ ...good(), modelDir: dir });
    assertCause(report, "MODEL_DAMAGED", /shard-0\.gguf is damaged/);
  });

  test("the manifest is overwritten", async () => {
    const dir = await copyOfShards();
    await writeFile(join(dir, "manifest.cbor"), "x");
    const report = await practice.examine({ ...good(), modelDir: dir });
    assertCause(report, "MODEL_DAMAGED", /manifest\.cbor is damaged/);
  });

  test("the file has another shard", async () => {
    const dir = await copyOfShards();
    await copyFile(join(dir, "shard-1.gguf"), join(dir, "shard-0.gguf"));
    const report = await practice.examine({ ...good(), modelDir: dir });
    assertCause(report, "OTHER_MODEL", /shard/);
  });

  test("the shard is not in the folder", async () => {
    const dir = await copyOfShards();
    await rm(join(dir, "shard-0.gguf"));
    const report = await practice.examine({ ...good(), modelDir: dir });
    assertCause(report, "SHARD_NOT_THERE", /has no shard-0\.gguf/);
  });

  test("the folder has another model than the cluster", async () => {
    const dir = await mkdtemp(join(practice.home, "other-"));
    const model = join(dir, "other.gguf");
    await writeRandomModel(model);
    await splitModel({ path: model, shards: 2, outDir: join(dir, "shards") });
    const report = await practice.examine({
      ...good(),
      modelDir: join(dir, "shards"),
    });
    assertCause(report, "OTHER_MODEL", /their bytes differ/);
  });

  const noMounts =
    process.getuid?.() === 0 ? false : "mounting a small disk needs root";
  test("the disk is full", { skip: noMounts }, async (t) => {
    const disk = await mkdtemp(join(tmpdir(), "shoal-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
    t.after(async () => {
      execFileSync("umount", [disk]);
      await rm(disk, { recursive: true });
    });
    const { report, code } = await practice.run(
      [
        "--bootstrap",
        practice.cluster.bootstrap,
        "--cluster",
        "test",
        "--shard",
        "1/2",
      ],
      disk,
    );
    assertCause(
      report,
      "DISK_FULL",
      /has 1\.00 MiB free; .* are needed for shard 1/,
    );
    assert.equal(code, EXIT_UNHEALTHY);
  });

  test("there is too little memory for the shard", async () => {
    const report = await practice.examine({
      ...good(),
      memoryBytes: 50_000_000,
    });
    assertCause(
      report,
      "MEMORY_SHORT",
      /shard 0 needs .*; 47\.7 MiB may be used/,
    );
  });

  test("the named graphics card is not there", async () => {
    const report = await practice.examine({ ...good(), gpu: "Vulkan9" });
    assertCause(
      report,
      "GPU_UNAVAILABLE",
      /no graphics card is named Vulkan9: there is/,
    );
  });

  test("another program uses the port", async (t) => {
    const other = createServer().listen(0, "127.0.0.1");
    t.after(() => other.close());
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    const report = await practice.examine({
      ...good(),
      listen: [`/ip4/127.0.0.1/tcp/${port}`],
    });
    assertCause(
      report,
      "PORT_IN_USE",
      new RegExp(`TCP port ${port} of 127.0.0.1 is used`),
    );
  });

  test("this node itself uses the port, which is not a fault", async () => {
    const [node] = practice.nodes;
    const { addresses } = await node!.whenReady();
    const listen = addresses.map((a) => a.replace(/\/p2p\/.*/, ""));
    const report = await practice.examine(
      { ...good(), listen },
      practice.cluster.homeOf(node!.name),
    );
    assert.deepEqual([report.healthy, report.cause], [true, undefined]);
    assert.equal(
      report.findings.filter((f) => /is used by this node/.test(f.text)).length,
      2,
    );
  });

  test("the state folder cannot be created, or its key is invalid", async () => {
    const folder = await mkdtemp(join(practice.home, "state-"));
    await writeFile(join(folder, "file"), "");
    const at = (path: string): Promise<DoctorReport> =>
      practice.examine(good(), path);
    assertCause(
      await at(join(folder, "file")),
      "STATE_UNUSABLE",
      /cannot be written: ENOTDIR/,
    );
    await mkdir(join(folder, "state"));
    await writeFile(join(folder, "state", "node.key"), "no key");
    assertCause(await at(folder), "IDENTITY_DAMAGED", /it has no Ed25519 key/);
  });

  test("the node of this home gave a shard up", async () => {
    const folder = await mkdtemp(join(practice.home, "gave-up-"));
    await mkdir(join(folder, "state"));
    const shard = { index: 1, count: 2, layerStart: 4, layerEnd: 8 };
    const why = { model: "Shoal demo", reason: "it failed 8 times" };
    const when = { sinceMs: Date.now() - 90_000, untilMs: Date.now() };
    await writeFile(
      givenUpPath(join(folder, "state")),
      JSON.stringify([{ ...shard, ...why, ...when }]),
    );
    assertCause(
      await practice.examine(good(), folder),
      "SHARD_GIVEN_UP",
      /gave up shard 1 of 2 \(layers 4-7\) 1 min \d+ s ago: it failed 8 times/,
    );
  });

  async function copyOfShards(): Promise<string> {
    const dir = await mkdtemp(join(practice.home, "copy-"));
    for (const name of [
      "manifest.cbor",
      "metadata.gguf",
      "shard-0.gguf",
      "shard-1.gguf",
    ])
      await copyFile(join(practice.shards, name), join(dir, name));
    return dir;
  }
});

test("the table of causes in the documents matches the program", async () => {
  const text = await readFile(
    join(import.meta.dirname, "../../docs/OPERATIONS.md"),
    "utf8",
  );
  const [, section = ""] = /^## Finding the cause (.*?)^## /ms.exec(text) ?? [];
  const told = [...section.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(
    ([, code]) => code,
  );
  assert.deepEqual(
    told,
    CAUSES.map(({ code }) => code),
  );
});
