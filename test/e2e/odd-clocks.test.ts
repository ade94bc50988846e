/**
 * Machines whose clocks are five minutes off: they join, are not dropped when an announcement's life has passed, and serve, and their operators
 * are told, in the log, in the status and by the doctor. Setting a clock while its node runs disturbs nothing.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { DoctorReport } from "../../src/doctor/index.ts";
import type { ShoalEvent } from "../../src/lib/index.ts";
import { splitModel } from "../../src/model/index.ts";
import type { ClusterStatus, NodeStatus } from "../../src/status/index.ts";
import { shoal } from "../support/cli.ts";
import { TestCluster } from "../support/cluster.ts";
import {
  clockAhead,
  type Member,
  type MemberOptions,
} from "../support/member.ts";
import { answering, complete, DEMO_MODEL } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const FIVE_MIN = 5 * 60_000;
const PROMPT = "Once upon a time";
/** Of an announcement. */
const TTL_MS = 60_000;

interface Swarm {
  cluster: TestCluster;
  gateway: Member;
  nodes: Member[];
  api: string;
  /** As the gateway sees it. */
  view: () => Promise<ClusterStatus>;
}

/** One node for each shard, whose clock is so far ahead. */
async function startSwarm(
  t: Parameters<typeof TestCluster.start>[0],
  rendezvousBy: number,
  nodesBy: readonly number[],
): Promise<Swarm> {
  const cluster = await TestCluster.start(t, undefined, off(rendezvousBy));
  const dir = join(cluster.members.home, "shards");
  const shards = nodesBy.length;
  await splitModel({ path: DEMO_MODEL, shards, outDir: dir });
  const how = ["--model-dir", dir, "--no-seed", "--threads", "1"];
  const gateway = cluster.start("serve", "gateway", ["--api-port", "0"]);
  const nodes = nodesBy.map((byMs, i) => {
    const args = ["--shard", `${i}/${shards}`, ...how];
    return cluster.start("node", `node-${i}`, args, off(byMs));
  });
  const { url = "", diagnosticsUrl = "" } = await gateway.whenReady();
  for (const member of [gateway, ...nodes]) await member.swarmReady();
  await answering(url);
  const view = async (): Promise<ClusterStatus> => {
    const signal = AbortSignal.timeout(60_000);
    const response = await fetch(`${diagnosticsUrl}/api/v1/status`, { signal });
    return ((await response.json()) as NodeStatus).clusters[0]!;
  };
  return { cluster, gateway, nodes, api: url, view };
}

function off(byMs: number): MemberOptions {
  return byMs === 0 ? {} : clockAhead(byMs);
}

/** What the doctor says on a machine with this clock. */
async function examined(
  { cluster }: Swarm,
  byMs: number,
): Promise<DoctorReport> {
  const home = join(cluster.members.home, `doctor ${byMs}`);
  const at = ["--bootstrap", cluster.bootstrap, "--cluster", "test"];
  const args = ["doctor", "--json", "--home", home, ...at];
  const { stdout, stderr } = await shoal(args, off(byMs));
  assert.match(stdout, /^\{/, stderr);
  return JSON.parse(stdout) as DoctorReport;
}

const tells =
  (words: RegExp) =>
  ({ level, message, fields }: ShoalEvent): boolean =>
    level === "warn" && fields.code === "CLOCK_SKEW" && words.test(message);
const isLoss = ({ tag, message }: ShoalEvent): boolean =>
  tag === "SWARM" && /^(no longer|not) ready/.test(message);

test("one node's clock is ahead, another's behind: both serve for longer than an announcement lives, and all are told; then both are set", async (t) => {
  const swarm = await startSwarm(t, 0, [FIVE_MIN, -FIVE_MIN, 0]);
  const { gateway, nodes, api, view } = swarm;
  const [ahead, behind, right] = nodes as [Member, Member, Member];
  const from = [gateway, ...nodes].map((member) => member.mark());
  const { text } = await complete(api, PROMPT, 12);

  const away = "of this machine is 5 min \\d s (ahead of|behind) those of";
  for (const member of [ahead, behind])
    await member.when(tells(new RegExp(`^the clock ${away}`)), "its own clock");
  for (const member of [gateway, right])
    await member.when(
      tells(/^clocks are off: ….{8} by .* (ahead|behind), ….{8} by /),
      "the others' clocks",
    );
  await until("the status", async () =>
    ((await view()).clocks ?? "").startsWith("clocks are off: "),
  );
  const wrong = await examined(swarm, FIVE_MIN);
  assert.equal(wrong.cause?.code, "CLOCK_OFF", JSON.stringify(wrong.findings));
  assert.match(
    wrong.cause.what,
    /^this machine's clock is .* ahead of that of/,
  );
  const mine = await examined(swarm, 0);
  assert.equal(mine.cause?.code, "MEMBER_CLOCK", JSON.stringify(mine.findings));
  assert.match(mine.cause.what, /^the clock of ….{8} is .* (ahead|behind)$/);

  const first = new Map((await view()).members.map((m) => [m.peer, m.heardMs]));
  await until("everybody to be heard of again", async () =>
    (await view()).members.every(
      ({ peer, heardMs }) => heardMs > first.get(peer)! + TTL_MS,
    ),
  );
  assert.equal((await complete(api, PROMPT, 12)).text, text);

  const set = gateway.mark();
  ahead.setClock(0);
  behind.setClock(0);
  await gateway.when(
    ({ message }) => message === "the clocks agree again",
    "the clocks that are right",
    set,
  );
  assert.equal((await view()).clocks, null);
  assert.equal((await complete(api, PROMPT, 12)).text, text);
  for (const [i, member] of [gateway, ...nodes].entries())
    assert.deepEqual(
      member.seen.slice(from[i]).filter(isLoss),
      [],
      `${member.name} lost nobody`,
    );
  // The rendezvous hears it with the next announcements.
  await until("the doctor's word", async () => {
    const { findings } = await examined(swarm, 0);
    return !findings.some(({ cause }) => cause === "MEMBER_CLOCK");
  });
});

test("the rendezvous' own clock is ahead: everybody joins there and serves, and it says whose clock is wrong", async (t) => {
  const swarm = await startSwarm(t, FIVE_MIN, [0, 0]);
  const { cluster, api } = swarm;
  assert.equal((await complete(api, PROMPT, 12)).tokens, 12);
  await cluster.rendezvous.when(
    tells(/^the clock of this machine is .* ahead of those of the others$/),
    "its own clock",
  );
  const report = await examined(swarm, 0);
  assert.equal(report.cause?.code, "CLOCK_OFF");
});

test("a seeder's clock was set back since it published last: what it publishes now counts", async (t) => {
  const cluster = await TestCluster.start(t);
  const publish = async (shards: number, byMs: number): Promise<Member> => {
    const args = [DEMO_MODEL, "--shards", `${shards}`];
    const seeder = cluster.start("seed", "seeder", args, off(byMs));
    await seeder.whenReady();
    return seeder;
  };
  await (await publish(2, FIVE_MIN)).stop();
  await publish(4, 0);
  const { stdout } = await shoal([
    "status",
    "--json",
    "--bootstrap",
    cluster.bootstrap,
    "--cluster",
    "test",
  ]);
  const { cluster: seen } = JSON.parse(stdout) as { cluster: ClusterStatus };
  assert.equal(seen.shardCount, 4);
});
