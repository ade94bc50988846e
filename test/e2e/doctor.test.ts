/** Set-ups that are broken in one way each, built for real; `shoal doctor` has to name that way. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createServer } from "node:net";
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
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import {
  GET_CAPABILITIES,
  GET_CLUSTER,
  type OwnState,
  PROTOCOL,
  sealClusterRecord,
} from "../../src/cluster/index.ts";
import { PUBLISH_CLUSTER } from "../../src/cluster/protocol.ts";
import { Events, resolvePaths, systemClock } from "../../src/lib/index.ts";
import type { Clock } from "../../src/lib/index.ts";
import { splitModel } from "../../src/model/index.ts";
import {
  Commands,
  createHost,
  type HostOptions,
} from "../../src/network/index.ts";
import {
  type DoctorOptions,
  type DoctorReport,
  runDoctor,
} from "../../src/roles/index.ts";
import { CAUSES } from "../../src/roles/doctor/causes.ts";
import { shoal } from "../support/cli.ts";
import { TestCluster, type Member } from "../support/cluster.ts";
import { ownStateOf } from "../support/announcements.ts";
import { startMember, startRendezvous } from "../support/members.ts";
import { startHost, targetOf, within } from "../support/network.ts";
import { writeRandomModel } from "../support/models.ts";
import { DEMO_MODEL, ENTRY } from "../support/swarm.ts";
import {
  foreignTcp,
  freePort,
  muteTcp,
  relayTcp,
  relayUdp,
  swallowUdp,
} from "../support/wires.ts";

const TEN_MINUTES = 600_000;
const EXIT_UNHEALTHY = 4;

/** A rendezvous and two nodes with the demo model in two shards, each a process. */
let cluster: TestCluster;
let shards: string;
let home: string;
/** A process that downloads slowly. */
let slow: Member;

before(async () => {
  // One port for both transports, as people have it.
  cluster = await TestCluster.start([], `127.0.0.1:${await freePort()}`);
  home = await mkdtemp(join(tmpdir(), "shoal-doctor-"));
  shards = join(home, "shards");
  await splitModel({ path: DEMO_MODEL, shards: 2, outDir: shards });
  const seeder = cluster.start("seed", "seeder", [
    DEMO_MODEL,
    "--shards",
    "1",
    "--cluster",
    "slow",
  ]);
  const nodes = [0, 1].map((i) => node(`node-${i}`, i));
  await Promise.all([...nodes, seeder].map((member) => member.ready()));
  await Promise.all(nodes.map((member) => member.swarmReady()));
  slow = cluster.start("node", "slow", [
    "--shard",
    "0",
    "--cluster",
    "slow",
    "--download-limit",
    "30KB",
    "--threads",
    "1",
  ]);
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

function node(name: string, index: number, args: string[] = []): Member {
  return cluster.start("node", name, [
    "--shard",
    `${index}/2`,
    "--model-dir",
    shards,
    "--no-seed",
    "--threads",
    "1",
    ...args,
  ]);
}

/** For one answer: the swarm it asks runs on the same busy processors. */
const WAIT_MS = 25_000;
const EXAMINATION_MS = 120_000;

/** Here, as a guest of whatever is given. */
async function examine(options: Partial<DoctorOptions>): Promise<DoctorReport> {
  const folder = await mkdtemp(join(home, "doctor-"));
  return await within(
    runDoctor(
      {
        bootstraps: [],
        listen: [],
        sessions: 1,
        timeoutMs: WAIT_MS,
        clock: systemClock,
        ...options,
      },
      {
        events: new Events(),
        paths: resolvePaths(folder),
        signal: AbortSignal.timeout(EXAMINATION_MS),
      },
    ),
    "the doctor",
    EXAMINATION_MS,
  );
}

/** As people run it. */
async function run(
  args: readonly string[],
): Promise<{ report: DoctorReport; code: number | null }> {
  const folder = await mkdtemp(join(home, "doctor-"));
  const { stdout, stderr, code } = await shoal([
    "doctor",
    "--json",
    "--home",
    folder,
    ...args,
  ]);
  assert.match(stdout, /^\{/, stderr);
  return { report: JSON.parse(stdout) as DoctorReport, code };
}

function assertCause(
  report: DoctorReport,
  code: string,
  what: RegExp,
): asserts report is DoctorReport & { cause: object } {
  const told = report.findings.map((f) => `${f.state} ${f.text}`).join("\n");
  assert.equal(report.cause?.code, code, told);
  assert.match(report.cause?.what ?? "", what);
  assert.ok((report.cause?.next ?? "").length > 10);
  assert.ok(!(report.cause?.next ?? "").includes("?"), report.cause?.next);
  assert.equal(report.healthy, false);
}

/** A server of ours in this process that is not as it should be. */
async function server(
  t: TestContext,
  options: {
    host?: HostOptions;
    capabilities?: Partial<typeof GET_CAPABILITIES.result._output> | "none";
    clock?: Clock;
  } = {},
): Promise<{ address: string }> {
  const { host, commands } = await startRendezvous(t, options.host);
  const { capabilities, clock = systemClock } = options;
  if (capabilities !== "none")
    commands.handle(GET_CAPABILITIES.name, GET_CAPABILITIES.params, () => ({
      version: "0.1.0",
      protocol: PROTOCOL,
      role: "rendezvous",
      nowMs: Math.floor(clock.now()),
      commands: commands.names(),
      ...capabilities,
    }));
  const [address = ""] = targetOf(host, "TCP").addresses;
  return { address };
}

function shifted(byMs: number): Clock {
  return { ...systemClock, now: () => systemClock.now() + byMs };
}

const SHARD = ownStateOf(
  {
    manifest: "bafy-of-the-cluster",
    layerEnd: 4,
    shard: { index: 0, count: 1 },
  },
  2,
);

/** A member at `address`, in this process, that says what it is told to. */
async function member(
  t: TestContext,
  address: string,
  says: Partial<OwnState>,
  clock: Clock = systemClock,
): Promise<void> {
  const { host, membership } = await startMember(t, { clock });
  const { peer } = await host.connect({ addresses: [address] });
  await membership.join(peer);
  // What it is refused with is the point of some tests.
  await membership.hold(() => ({ ...SHARD, ...says })).catch(() => {});
}

async function publish(
  t: TestContext,
  address: string,
  manifest: string,
): Promise<void> {
  const key = await startHost(t);
  const commands = new Commands(key);
  const record = await sealClusterRecord(
    {
      v: 1,
      cluster: "friends",
      key: key.peerId,
      manifest,
      model: "demo",
      shards: 1,
      replication: 2,
      origin: [],
      seq: 1,
      issuedMs: Date.now(),
    },
    (data) => key.sign(data),
  );
  const { peer } = await key.connect({ addresses: [address] });
  await commands.call(
    peer,
    PUBLISH_CLUSTER.name,
    { cluster: "friends", record },
    PUBLISH_CLUSTER.result,
  );
  // As a seeder does: a cluster without members or listeners is forgotten.
  await commands.call(
    peer,
    GET_CLUSTER.name,
    { cluster: "friends", subscribe: true, offset: 0 },
    GET_CLUSTER.result,
  );
}

function bootstrapPort(): number {
  return Number(/:(\d+)\//.exec(cluster.bootstrap)?.[1]);
}

const withoutId = (): string => cluster.bootstrap.replace(/\/p2p\/.*/, "");

describe("what is typed", { concurrency: 3 }, () => {
  test("all is well: nothing is wrong, and 0", async () => {
    const own = ["--shard", "0/2", "--model-dir", shards];
    const { report, code } = await run([
      "--bootstrap",
      cluster.bootstrap,
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
      "memory",
      "cluster",
      "shards",
    ])
      assert.ok(checked.includes(check as never), `${check} was not checked`);
  });

  test("no bootstrap", async () => {
    const { report, code } = await run(["--cluster", "test"]);
    assertCause(report, "BOOTSTRAP_MISSING", /no bootstrap was given/);
    assert.equal(code, EXIT_UNHEALTHY);
  });

  test("a malformed address, told to people", async () => {
    const result = await shoal([
      "doctor",
      "--home",
      home,
      "--bootstrap",
      "127.0.0.1:99999",
    ]);
    assert.equal(result.code, EXIT_UNHEALTHY);
    assert.match(result.stdout, /^✗ bootstrap .*the port must be 0 to 65535/m);
    assert.match(result.stdout, /^Cause: .*\(ADDRESS_MALFORMED\)$/m);
    assert.match(result.stdout, /^Next: {2}write it as HOST/m);
  });

  test("a name without an address", async () => {
    const report = await examine({ bootstraps: ["no-such-host.invalid"] });
    assertCause(
      report,
      "NAME_UNRESOLVED",
      /no-such-host\.invalid has no address/,
    );
  });
});

describe("the way to the bootstrap", { concurrency: 4 }, () => {
  test("nothing listens", async () => {
    const port = await freePort();
    const report = await examine({ bootstraps: [`127.0.0.1:${port}`] });
    assertCause(
      report,
      "NOTHING_LISTENS",
      new RegExp(`nothing listens at 127.0.0.1:${port}`),
    );
  });

  const noNamespaces =
    spawnSync("unshare", ["-n", "true"]).status === 0
      ? false
      : "no network namespaces here";
  const inNamespace = async (setup: string): Promise<DoctorReport> => {
    const folder = await mkdtemp(join(home, "doctor-"));
    const command = [
      process.execPath,
      ENTRY,
      "doctor",
      "--json",
      "--home",
      folder,
      "--timeout",
      "4",
      "--bootstrap",
      "10.9.0.2",
    ];
    const { stdout, stderr } = spawnSync(
      "unshare",
      ["-n", "sh", "-c", `${setup}; exec "$@"`, "sh", ...command],
      { encoding: "utf8", timeout: 60_000 },
    );
    assert.match(stdout, /^\{/, stderr);
    return JSON.parse(stdout) as DoctorReport;
  };

  test(
    "a firewall swallows both transports",
    { skip: noNamespaces },
    async () => {
      const report = await inNamespace(
        "ip link set lo up && ip link add d0 type veth peer name d1 && ip addr add 10.9.0.1/24 dev d0 && ip link set d0 up && ip link set d1 up && ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev d0",
      );
      assertCause(
        report,
        "BOOTSTRAP_SILENT",
        /10\.9\.0\.2:51820 answers neither by UDP nor by TCP/,
      );
    },
  );

  test("no network at all", { skip: noNamespaces }, async () => {
    const report = await inNamespace("ip link set lo up");
    assertCause(report, "NO_ROUTE", /no route to 10\.9\.0\.2:51820/);
  });

  test("UDP is blocked, TCP is not", async (t) => {
    const port = await freePort();
    await swallowUdp(t, port);
    await relayTcp(t, port, bootstrapPort());
    const report = await examine({
      bootstraps: [`127.0.0.1:${port}`],
      cluster: "test",
    });
    assertCause(report, "UDP_BLOCKED", /answers by TCP, not by UDP/);
  });

  test("TCP is blocked, UDP is not", async (t) => {
    const port = await freePort();
    await relayUdp(t, port, bootstrapPort());
    const report = await examine({
      bootstraps: [`127.0.0.1:${port}`],
      cluster: "test",
    });
    assertCause(
      report,
      "TCP_BLOCKED",
      /answers by UDP, not by TCP \(refused\)/,
    );
  });

  test("another peer has the address", async (t) => {
    const other = await createHost();
    t.after(() => other.stop());
    const report = await examine({
      bootstraps: [`${withoutId()}/p2p/${other.peerId}`],
    });
    assertCause(
      report,
      "WRONG_PEER",
      new RegExp(`another peer than ${other.peerId}`),
    );
  });

  test("another program has the port, and says so", async (t) => {
    const port = await freePort();
    await foreignTcp(t, port);
    const report = await examine({ bootstraps: [`127.0.0.1:${port}`] });
    assertCause(report, "NOT_SHOAL", /is no Shoal/);
  });

  test("another program has the port, and says nothing", async (t) => {
    const port = await freePort();
    await muteTcp(t, port);
    await swallowUdp(t, port);
    const report = await examine({ bootstraps: [`127.0.0.1:${port}`] });
    assertCause(report, "NOT_SHOAL", /is no Shoal/);
  });

  test("a libp2p peer without Shoal's commands", async (t) => {
    const bare = await startHost(t);
    const report = await examine({
      bootstraps: [targetOf(bare, "TCP").addresses[0]!],
    });
    assertCause(report, "NOT_SHOAL", /none of Shoal's protocols/);
  });

  test("one of two bootstraps is down: the other is enough", async () => {
    const report = await examine({
      bootstraps: [`127.0.0.1:${await freePort()}`, cluster.bootstrap],
      cluster: "test",
    });
    assert.deepEqual([report.healthy, report.cause], [true, undefined]);
    assert.ok(
      report.findings.some(
        (f) => f.state === "note" && /nothing listens/.test(f.text),
      ),
    );
  });
});

describe("what the bootstrap is", { concurrency: 4 }, () => {
  test("of an older protocol", async (t) => {
    const { address } = await server(t, {
      capabilities: { protocol: PROTOCOL - 1, version: "0.0.1" },
    });
    const report = await examine({ bootstraps: [address] });
    assertCause(
      report,
      "VERSION_MISMATCH",
      /runs Shoal 0\.0\.1, which speaks protocol 0/,
    );
  });

  test("so old that it does not say what it is", async (t) => {
    const { address } = await server(t, { capabilities: "none" });
    const report = await examine({ bootstraps: [address] });
    assertCause(report, "VERSION_MISMATCH", /does not say what it is/);
  });

  for (const [way, byMs] of [
    ["ahead of", TEN_MINUTES],
    ["behind", -TEN_MINUTES],
  ] as const)
    test(`this machine's clock is ten minutes ${way} it`, async () => {
      const report = await examine({
        bootstraps: [cluster.bootstrap],
        cluster: "test",
        clock: shifted(byMs),
      });
      assertCause(
        report,
        "CLOCK_OFF",
        new RegExp(`this machine's clock is .* ${way} that of 127`),
      );
      assert.ok(Math.abs(Number(report.cause.facts.aheadMs) + byMs) < 5_000);
    });

  test("its clock is off, and another bootstrap's is not", async (t) => {
    const { address } = await server(t, { clock: shifted(TEN_MINUTES) });
    const report = await examine({
      bootstraps: [address, cluster.bootstrap],
      cluster: "test",
    });
    assertCause(
      report,
      "CLOCK_OFF",
      /^the clock of 127\.0\.0\.1:\d+ is .* ahead$/,
    );
  });

  test("its DHT keeps nothing", async (t) => {
    const { address } = await server(t, {
      host: { dhtLimits: { recordBytes: 0, providerRecords: 0 } },
    });
    const report = await examine({ bootstraps: [address] });
    assertCause(report, "DHT_BROKEN", /does not store: put refused/);
  });
});

describe("the cluster", { concurrency: 4 }, () => {
  test("nobody knows it", async () => {
    const report = await examine({
      bootstraps: [cluster.bootstrap],
      cluster: "freinds",
    });
    assertCause(report, "CLUSTER_UNKNOWN", /knows no cluster freinds/);
  });

  test("it is published, and nobody is in it", async (t) => {
    const { address } = await server(t);
    await publish(t, address, SHARD.manifest);
    const report = await examine({ bootstraps: [address], cluster: "friends" });
    assertCause(report, "CLUSTER_EMPTY", /no node holds anything of demo/);
  });

  test("a shard is missing and nobody fetches it", async () => {
    const lonely = node("lonely", 1, ["--cluster", "gap"]);
    await lonely.ready();
    const report = await examine({
      bootstraps: [cluster.bootstrap],
      cluster: "gap",
    });
    assertCause(
      report,
      "SHARD_MISSING",
      /^shard 0 of 2 \(layers 0-\d+\) is missing: nobody has it/,
    );
    assert.match(report.cause.next, /shoal node --cluster gap --shard 0/);
    await lonely.stop();
  });

  test("a shard is being downloaded: by whom, and how far", async () => {
    await slow.event((e) => e.tag === "CONNECT", "the slow node's connection");
    let report: DoctorReport;
    // Until its first progress has come through.
    do
      report = await examine({
        bootstraps: [cluster.bootstrap],
        cluster: "slow",
      });
    while (
      report.cause?.code !== "SHARD_DOWNLOADING" ||
      typeof report.cause.facts.percent !== "number"
    );
    assertCause(
      report,
      "SHARD_DOWNLOADING",
      /^shard 0 of 1 is being downloaded by ….{8}, \d+ %$/,
    );
    const key = await createHost({
      keyPath: join(cluster.homeOf("slow"), "state", "node.key"),
    });
    assert.deepEqual(report.cause.facts.fetching, [key.peerId]);
    await key.stop();
  });

  const states: [OwnState["state"], string, RegExp][] = [
    ["loading", "SHARD_LOADING", /is being loaded by/],
    ["draining", "SHARD_LEAVING", /which is shutting down/],
  ];
  for (const [state, code, what] of states)
    test(`the only holder is ${state}`, async (t) => {
      const { address } = await server(t);
      await member(t, address, { state });
      const report = await examine({
        bootstraps: [address],
        cluster: "friends",
      });
      assertCause(report, code, what);
    });

  test("a member has another model than the cluster", async (t) => {
    const { address } = await server(t);
    await publish(t, address, "bafy-of-another-model");
    await member(t, address, {});
    const report = await examine({ bootstraps: [address], cluster: "friends" });
    assertCause(
      report,
      "MEMBER_MODEL",
      /holds another model than demo|was refused because it holds another model/,
    );
  });

  test("a member's clock is ten minutes ahead", async (t) => {
    const { address } = await server(t);
    await member(t, address, {}, shifted(TEN_MINUTES));
    const report = await examine({ bootstraps: [address], cluster: "friends" });
    assertCause(report, "MEMBER_CLOCK", /its clock is off \(it is ahead\)/);
  });

  test("shards of two plans leave a gap", async (t) => {
    const { address } = await server(t);
    await member(t, address, { layerEnd: 1, shard: { index: 0, count: 2 } });
    await member(t, address, { layerStart: 2, shard: { index: 1, count: 2 } });
    const report = await examine({ bootstraps: [address], cluster: "friends" });
    assertCause(report, "PLANS_DIFFER", /do not fit together/);
  });

  test("every session is taken", async (t) => {
    const { address } = await server(t);
    await member(t, address, { sessions: { active: 4, max: 4 } });
    const report = await examine({ bootstraps: [address], cluster: "friends" });
    assertCause(
      report,
      "CLUSTER_BUSY",
      /every session of shard 0 is taken \(4\/4\)/,
    );
  });
});

describe("this machine", { concurrency: 4 }, () => {
  const good = (): Pick<
    DoctorOptions,
    "bootstraps" | "cluster" | "shard" | "modelDir"
  > => ({
    bootstraps: [cluster.bootstrap],
    cluster: "test",
    shard: { index: 0, count: 2 },
    modelDir: shards,
  });

  test("the folder of models is not there, or no folder", async () => {
    const missing = await examine({
      ...good(),
      modelDir: join(home, "nowhere"),
    });
    assertCause(missing, "MODEL_DIR_UNREADABLE", /it does not exist/);
    const file = await examine({ ...good(), modelDir: DEMO_MODEL });
    assertCause(file, "MODEL_DIR_UNREADABLE", /it is no folder/);
  });

  test("the shard's file is cut short", async () => {
    const dir = await copyOfShards();
    await truncate(join(dir, "shard-0.gguf"), 100_000);
    const report = await examine({ ...good(), modelDir: dir });
    assertCause(report, "MODEL_DAMAGED", /shard-0\.gguf is damaged/);
  });

  test("the manifest is overwritten", async () => {
    const dir = await copyOfShards();
    await writeFile(join(dir, "manifest.cbor"), "x");
    const report = await examine({ ...good(), modelDir: dir });
    assertCause(report, "MODEL_DAMAGED", /manifest\.cbor is damaged/);
  });

  test("the shard is another one's", async () => {
    const dir = await copyOfShards();
    await copyFile(join(dir, "shard-1.gguf"), join(dir, "shard-0.gguf"));
    const report = await examine({ ...good(), modelDir: dir });
    assertCause(report, "OTHER_MODEL", /shard/);
  });

  test("the shard is not in the folder", async () => {
    const dir = await copyOfShards();
    await rm(join(dir, "shard-0.gguf"));
    const report = await examine({ ...good(), modelDir: dir });
    assertCause(report, "SHARD_NOT_THERE", /has no shard-0\.gguf/);
  });

  test("the folder has another model than the cluster", async () => {
    const dir = await mkdtemp(join(home, "other-"));
    const model = join(dir, "other.gguf");
    await writeRandomModel(model);
    await splitModel({ path: model, shards: 2, outDir: join(dir, "shards") });
    const report = await examine({ ...good(), modelDir: join(dir, "shards") });
    assertCause(report, "OTHER_MODEL", /they are not the same bytes/);
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
    const { stdout, code } = await shoal([
      "doctor",
      "--json",
      "--home",
      disk,
      "--bootstrap",
      cluster.bootstrap,
      "--cluster",
      "test",
      "--shard",
      "1/2",
    ]);
    const report = JSON.parse(stdout) as DoctorReport;
    assertCause(
      report,
      "DISK_FULL",
      /has 1\.00 MiB free, .* are needed for shard 1/,
    );
    assert.equal(code, EXIT_UNHEALTHY);
  });

  test("there is too little memory for the shard", async () => {
    const report = await examine({ ...good(), memoryBytes: 50_000_000 });
    assertCause(
      report,
      "MEMORY_SHORT",
      /shard 0 needs .*, 47\.7 MiB may be used/,
    );
  });

  test("another program uses the port", async (t) => {
    const other = createServer().listen(0, "127.0.0.1");
    t.after(() => other.close());
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    const report = await examine({
      ...good(),
      listen: [`/ip4/127.0.0.1/tcp/${port}`],
    });
    assertCause(
      report,
      "PORT_IN_USE",
      new RegExp(`TCP port ${port} of 127.0.0.1 is used`),
    );
  });

  test("this very node uses the port: that is no fault", async () => {
    const running = cluster.members.find(({ name }) => name === "node-0")!;
    const { addresses } = await running.ready();
    const listen = addresses.map((a) => a.replace(/\/p2p\/.*/, ""));
    const report = await runDoctor(
      {
        ...good(),
        listen,
        sessions: 1,
        timeoutMs: WAIT_MS,
        clock: systemClock,
      },
      {
        events: new Events(),
        paths: resolvePaths(cluster.homeOf("node-0")),
        signal: AbortSignal.timeout(EXAMINATION_MS),
      },
    );
    assert.deepEqual([report.healthy, report.cause], [true, undefined]);
    assert.equal(
      report.findings.filter((f) => /is this node's own/.test(f.text)).length,
      2,
    );
  });

  test("the state folder can not be, or its key is none", async () => {
    const folder = await mkdtemp(join(home, "state-"));
    await writeFile(join(folder, "file"), "");
    const at = async (path: string): Promise<DoctorReport> =>
      await runDoctor(
        {
          ...good(),
          listen: [],
          sessions: 1,
          timeoutMs: WAIT_MS,
          clock: systemClock,
        },
        {
          events: new Events(),
          paths: resolvePaths(path),
          signal: AbortSignal.timeout(EXAMINATION_MS),
        },
      );
    assertCause(
      await at(join(folder, "file")),
      "STATE_UNUSABLE",
      /can not be written: ENOTDIR/,
    );
    await mkdir(join(folder, "state"));
    await writeFile(join(folder, "state", "node.key"), "no key");
    assertCause(
      await at(folder),
      "IDENTITY_DAMAGED",
      /it holds no Ed25519 key/,
    );
  });

  async function copyOfShards(): Promise<string> {
    const dir = await mkdtemp(join(home, "copy-"));
    for (const name of [
      "manifest.cbor",
      "metadata.gguf",
      "shard-0.gguf",
      "shard-1.gguf",
    ])
      await copyFile(join(shards, name), join(dir, name));
    return dir;
  }
});

test("the table of causes in the documents is the program's", async () => {
  const text = await readFile(
    join(import.meta.dirname, "../../docs/OPERATIONS.md"),
    "utf8",
  );
  const told = [...text.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(
    ([, code]) => code,
  );
  assert.deepEqual(
    told,
    CAUSES.map(({ code }) => code),
  );
});
