/** Set-ups for `shoal doctor`, and what it must report about them. */
import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import {
  GET_CAPABILITIES,
  askPage,
  type OwnState,
  PROTOCOL,
  sealClusterRecord,
} from "../../src/cluster/index.ts";
import type { MembershipOptions } from "../../src/cluster/membership-options.ts";
import { PUBLISH_CLUSTER } from "../../src/cluster/protocol.ts";
import {
  type Clock,
  Events,
  resolvePaths,
  systemClock,
} from "../../src/lib/index.ts";
import { splitModel } from "../../src/model/index.ts";
import { Commands, type HostOptions } from "../../src/network/index.ts";
import type { DoctorOptions } from "../../src/doctor/examination.ts";
import { type DoctorReport, runDoctor } from "../../src/doctor/index.ts";
import { ownStateOf } from "./announcements.ts";
import { shoal } from "./cli.ts";
import { TestCluster } from "./cluster.ts";
import type { Member, Members } from "./member.ts";
import { startMember, startRendezvous } from "./memberships.ts";
import { startHost, targetOf, within } from "./network.ts";
import { DEMO_MODEL } from "./swarm.ts";
import { freePort } from "./wires.ts";

export const EXIT_UNHEALTHY = 4;

/** For one answer: the swarm it asks runs on the same busy processors. */
const WAIT_MS = 25_000;
const EXAMINATION_MS = 120_000;

/** A rendezvous and two nodes with the demo model in two shards, each a process; and a doctor. */
export class Practice {
  readonly cluster: TestCluster;
  readonly home: string;
  readonly shards: string;
  readonly nodes: readonly Member[];

  private constructor(cluster: TestCluster) {
    this.cluster = cluster;
    this.home = cluster.members.home;
    this.shards = join(this.home, "shards");
    this.nodes = [0, 1].map((i) => this.node(`node-${i}`, i));
  }

  static async open(t: Parameters<typeof Members.of>[0]): Promise<Practice> {
    // One port for both transports, as people have it.
    const cluster = await TestCluster.start(t, `127.0.0.1:${await freePort()}`);
    const outDir = join(cluster.members.home, "shards");
    await splitModel({ path: DEMO_MODEL, shards: 2, outDir });
    const practice = new Practice(cluster);
    await Promise.all(practice.nodes.map((node) => node.swarmReady()));
    return practice;
  }

  node(name: string, index: number, args: readonly string[] = []): Member {
    return this.cluster.start("node", name, [
      "--shard",
      `${index}/2`,
      "--model-dir",
      this.shards,
      "--no-seed",
      "--threads",
      "1",
      ...args,
    ]);
  }

  async folder(): Promise<string> {
    return await mkdtemp(join(this.home, "doctor-"));
  }

  /** Here, as a guest of whatever is given. */
  async examine(
    options: Partial<DoctorOptions>,
    home?: string,
  ): Promise<DoctorReport> {
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
          paths: resolvePaths(home ?? (await this.folder())),
          signal: AbortSignal.timeout(EXAMINATION_MS),
        },
      ),
      "the doctor",
      EXAMINATION_MS,
    );
  }

  /** As people run it. */
  async run(
    args: readonly string[],
    home?: string,
  ): Promise<{ report: DoctorReport; code: number | null }> {
    const { stdout, stderr, code } = await shoal([
      "doctor",
      "--json",
      "--home",
      home ?? (await this.folder()),
      ...args,
    ]);
    assert.match(stdout, /^\{/, stderr);
    return { report: JSON.parse(stdout) as DoctorReport, code };
  }
}

export function assertCause(
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

/** A faulty server in this process. */
export async function server(
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

export function shifted(byMs: number): Clock {
  return { ...systemClock, now: () => systemClock.now() + byMs };
}

export const SHARD = ownStateOf(
  {
    manifest: "bafy-of-the-cluster",
    layerEnd: 4,
    shard: { index: 0, count: 1 },
  },
  2,
);

/** A member at `address`, in this process, that says what it is told to. */
export async function member(
  t: TestContext,
  address: string,
  says: Partial<OwnState>,
  options: Partial<MembershipOptions> = {},
): Promise<void> {
  const { host, membership } = await startMember(t, options);
  const { peer } = await host.connect({ addresses: [address] });
  await membership.join(peer);
  // What it is refused with is the point of some tests.
  await membership.hold(() => ({ ...SHARD, ...says })).catch(() => {});
}

export async function publish(
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
  await askPage(commands, peer, {
    cluster: "friends",
    subscribe: true,
    offset: 0,
  });
}
