/** Real networks, servers and clusters with one fault each; `shoal doctor` must name it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type OwnState, PROTOCOL } from "../../src/cluster/index.ts";
import { createHost } from "../../src/network/index.ts";
import type { DoctorReport } from "../../src/doctor/index.ts";
import {
  assertCause,
  member,
  Practice,
  publish,
  server,
  SHARD,
  shifted,
} from "../support/doctor.ts";
import type { Member } from "../support/member.ts";
import { startHost, targetOf } from "../support/network.ts";
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

let practice: Practice;
const undo: (() => Promise<void>)[] = [];
before(async () => {
  practice = await Practice.open({ after: (fn) => void undo.push(fn) });
});
after(async () => {
  for (const fn of undo.reverse()) await fn();
});

describe("the way to the bootstrap", { concurrency: 4 }, () => {
  const withoutId = (): string =>
    practice.cluster.bootstrap.replace(/\/p2p\/.*/, "");
  const bootstrapPort = (): number => Number(withoutId().split(":")[1]);

  test("nothing listens", async () => {
    const port = await freePort();
    const report = await practice.examine({
      bootstraps: [`127.0.0.1:${port}`],
    });
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
    const folder = await practice.folder();
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

  test("a firewall drops both transports", { skip: noNamespaces }, async () => {
    const report = await inNamespace(
      "ip link set lo up && ip link add d0 type veth peer name d1 && ip addr add 10.9.0.1/24 dev d0 && ip link set d0 up && ip link set d1 up && ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev d0",
    );
    assertCause(
      report,
      "BOOTSTRAP_SILENT",
      /10\.9\.0\.2:51820 answers neither by UDP nor by TCP/,
    );
  });

  test("no network at all", { skip: noNamespaces }, async () => {
    const report = await inNamespace("ip link set lo up");
    assertCause(report, "NO_ROUTE", /no route to 10\.9\.0\.2:51820/);
  });

  test("UDP is blocked, TCP is not", async (t) => {
    const port = await freePort();
    await swallowUdp(t, port);
    await relayTcp(t, port, bootstrapPort());
    const report = await practice.examine({
      bootstraps: [`127.0.0.1:${port}`],
      cluster: "test",
    });
    assertCause(report, "UDP_BLOCKED", /answers by TCP, not by UDP/);
  });

  test("TCP is blocked, UDP is not", async (t) => {
    const port = await freePort();
    await relayUdp(t, port, bootstrapPort());
    const report = await practice.examine({
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
    const report = await practice.examine({
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
    const report = await practice.examine({
      bootstraps: [`127.0.0.1:${port}`],
    });
    assertCause(report, "NOT_SHOAL", /is not Shoal/);
  });

  test("another program has the port, and says nothing", async (t) => {
    const port = await freePort();
    await muteTcp(t, port);
    await swallowUdp(t, port);
    const report = await practice.examine({
      bootstraps: [`127.0.0.1:${port}`],
    });
    assertCause(report, "NOT_SHOAL", /is not Shoal/);
  });

  test("a libp2p peer without Shoal's commands", async (t) => {
    const bare = await startHost(t);
    const report = await practice.examine({
      bootstraps: [targetOf(bare, "TCP").addresses[0]!],
    });
    assertCause(report, "NOT_SHOAL", /none of Shoal's protocols/);
  });

  test("one of two bootstraps is down: the other suffices", async () => {
    const report = await practice.examine({
      bootstraps: [`127.0.0.1:${await freePort()}`, practice.cluster.bootstrap],
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
    const report = await practice.examine({ bootstraps: [address] });
    assertCause(
      report,
      "VERSION_MISMATCH",
      /runs Shoal 0\.0\.1 with protocol 1/,
    );
  });

  test("so old that it does not say what it is", async (t) => {
    const { address } = await server(t, { capabilities: "none" });
    const report = await practice.examine({ bootstraps: [address] });
    assertCause(report, "VERSION_MISMATCH", /does not say what it is/);
  });

  for (const [way, byMs] of [
    ["ahead of", TEN_MINUTES],
    ["behind", -TEN_MINUTES],
  ] as const)
    test(`this machine's clock is ten minutes ${way} it`, async () => {
      const report = await practice.examine({
        bootstraps: [practice.cluster.bootstrap],
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
    const report = await practice.examine({
      bootstraps: [address, practice.cluster.bootstrap],
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
    const report = await practice.examine({ bootstraps: [address] });
    assertCause(report, "DHT_BROKEN", /does not store: put refused/);
  });
});

describe("the cluster", { concurrency: 4 }, () => {
  /** A process that downloads slowly. */
  let slow: Member;
  before(async () => {
    const { cluster } = practice;
    const of = ["--cluster", "slow"];
    const seed = [DEMO_MODEL, "--shards", "1", ...of];
    await cluster.start("seed", "seeder", seed).whenReady();
    const limit = ["--download-limit", "30KB", "--threads", "1"];
    slow = cluster.start("node", "slow", ["--shard", "0", ...of, ...limit]);
  });

  test("nobody knows it", async () => {
    const report = await practice.examine({
      bootstraps: [practice.cluster.bootstrap],
      cluster: "freinds",
    });
    assertCause(report, "CLUSTER_UNKNOWN", /does not know cluster freinds/);
  });

  test("it is published but has no members", async (t) => {
    const { address } = await server(t);
    await publish(t, address, SHARD.manifest);
    const report = await practice.examine({
      bootstraps: [address],
      cluster: "friends",
    });
    assertCause(
      report,
      "CLUSTER_EMPTY",
      /no node in cluster .* holds a shard of demo/,
    );
  });

  test("a shard is missing and nobody downloads it", async () => {
    const lonely = practice.node("lonely", 1, ["--cluster", "gap"]);
    await lonely.whenReady();
    const report = await practice.examine({
      bootstraps: [practice.cluster.bootstrap],
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

  test("a shard is being downloaded: the downloader and its progress", async () => {
    await slow.when((e) => e.tag === "CONNECT", "the slow node's connection");
    let report: DoctorReport;
    // Until its first progress has come through.
    do
      report = await practice.examine({
        bootstraps: [practice.cluster.bootstrap],
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
      keyPath: join(practice.cluster.homeOf("slow"), "state", "node.key"),
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
      const report = await practice.examine({
        bootstraps: [address],
        cluster: "friends",
      });
      assertCause(report, code, what);
    });

  test("a member has another model than the cluster", async (t) => {
    const { address } = await server(t);
    await publish(t, address, "bafy-of-another-model");
    await member(t, address, {});
    const report = await practice.examine({
      bootstraps: [address],
      cluster: "friends",
    });
    assertCause(
      report,
      "MEMBER_MODEL",
      /holds another model than demo|was refused because it holds another model/,
    );
  });

  test("a member's clock is ten minutes ahead", async (t) => {
    const { address } = await server(t);
    const wallMs = (): number => Date.now() + TEN_MINUTES;
    await member(t, address, {}, { wallMs });
    const report = await practice.examine({
      bootstraps: [address],
      cluster: "friends",
    });
    assertCause(
      report,
      "MEMBER_CLOCK",
      /^the clock of ….{8} is (10 min 0|9 min 5\d) s ahead$/,
    );
  });

  test("shards of two plans leave a gap", async (t) => {
    const { address } = await server(t);
    await member(t, address, { layerEnd: 1, shard: { index: 0, count: 2 } });
    await member(t, address, { layerStart: 2, shard: { index: 1, count: 2 } });
    const report = await practice.examine({
      bootstraps: [address],
      cluster: "friends",
    });
    assertCause(report, "PLANS_DIFFER", /do not fit together/);
  });

  test("every session is taken", async (t) => {
    const { address } = await server(t);
    await member(t, address, { sessions: { active: 4, max: 4 } });
    const report = await practice.examine({
      bootstraps: [address],
      cluster: "friends",
    });
    assertCause(
      report,
      "CLUSTER_BUSY",
      /every session of shard 0 is taken \(4\/4\)/,
    );
  });
});
