/**
 * The cut follows the machines: three nodes compute at speeds 1, 2 and 4 (control groups of their engines), and find the best cut while they
 * answer, with no request failed and no text changed; machines alike are left as they are.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { NodeStatus, PlanStatus } from "../../src/status/index.ts";
import { shoal } from "../support/cli.ts";
import { TestCluster } from "../support/cluster.ts";
import { CpuShares, noShares } from "../support/cpu-shares.ts";
import type { Member } from "../support/member.ts";
import { writeRandomModel } from "../support/models.ts";
import { type Reply, streamReply } from "../support/reply.ts";
import { answering } from "../support/swarm.ts";
import { until } from "../support/until.ts";

/** 17 MB a layer: a stage computes for longer than the period of its processor's share. */
const LAYERS = 7;
const MODEL = {
  layers: LAYERS,
  embeddingLength: 768,
  heads: 8,
  kvHeads: 4,
  feedForward: 1024,
  vocabSize: 320,
  vocab: "bytes",
} as const;
const STAGES = 3;
const CLIENTS = 3;
const ASK = { model: "Random weights", max_tokens: 16 };

interface Machine {
  member: Member;
  statusUrl: string;
  /** The stage that it took at first. */
  stage: number;
}

class Scene {
  readonly cluster: TestCluster;
  readonly url: string;
  /** By stage. */
  readonly machines: Machine[];
  readonly shares: CpuShares;

  private constructor(
    cluster: TestCluster,
    url: string,
    machines: Machine[],
    shares: CpuShares,
  ) {
    this.cluster = cluster;
    this.url = url;
    this.machines = machines;
    this.shares = shares;
  }

  /** Three nodes with a stage each; `shares` are of a processor, by stage, `args` by node. */
  static async start(
    t: TestContext,
    of: readonly number[],
    args: readonly string[][] = [[], [], []],
  ): Promise<Scene> {
    const shares = new CpuShares(`shoal-${process.pid}`);
    // Registered first, so it runs last: groups go when their processes are gone.
    let end = (): Promise<void> => Promise.resolve();
    t.after(() => end());
    const cluster = await TestCluster.start({
      after: (undo) => {
        t.after(undo);
        end = async () => {
          await undo();
          await shares.end();
        };
      },
    });
    const model = join(cluster.members.home, "model.gguf");
    await writeRandomModel(model, MODEL);
    const seed = ["--shards", String(STAGES)];
    const seeder = cluster.start("seed", "seeder", [model, ...seed]);
    await seeder.whenReady();
    const gateway = cluster.start("serve", "gateway", ["--api-port", "0"]);
    const nodes = args.map((more, i) =>
      cluster.start("node", `node-${i}`, [
        "--context",
        "512",
        "--threads",
        "1",
        "--standby",
        "off",
        "--diagnostics-port",
        "0",
        ...more,
      ]),
    );
    const machines = await Promise.all(nodes.map((node) => machineOf(node)));
    machines.sort((a, b) => a.stage - b.stage);
    assert.deepEqual(
      machines.map(({ stage }) => stage),
      [0, 1, 2],
    );
    const { url = "" } = await gateway.whenReady();
    await answering(url);
    for (const [i, share] of of.entries()) {
      shares.limit(`stage-${i}`, share);
      shares.put(`stage-${i}`, engineOf(machines[i]!.member.pid));
    }
    return new Scene(cluster, url, machines, shares);
  }

  async plan(): Promise<PlanStatus> {
    const { stdout, stderr, code } = await shoal([
      "plan",
      "--json",
      "--url",
      this.machines[0]!.statusUrl,
    ]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as PlanStatus;
  }

  /** The layers of each node's shards, by the stage that it took at first. */
  async layers(): Promise<string[]> {
    const statuses = await Promise.all(
      this.machines.map(({ statusUrl }) => statusAt(statusUrl)),
    );
    return statuses.map(({ shards }) =>
      shards.map((s) => `${s.layerStart}-${s.layerEnd}`).join(" and "),
    );
  }

  seen(beginning: string): boolean {
    return this.machines.some(({ member }) =>
      member.seen.some(({ message }) => message.startsWith(beginning)),
    );
  }

  async when(beginning: string): Promise<void> {
    await Promise.any(
      this.machines.map(({ member }) =>
        member.when(({ message }) => message.startsWith(beginning), beginning),
      ),
    );
  }
}

async function machineOf(member: Member): Promise<Machine> {
  const { diagnosticsUrl = "" } = await member.whenReady();
  const { shards } = await statusAt(diagnosticsUrl);
  return { member, statusUrl: diagnosticsUrl, stage: shards[0]!.index };
}

async function statusAt(url: string): Promise<NodeStatus> {
  const signal = AbortSignal.timeout(60_000);
  const response = await fetch(`${url}/api/v1/status`, { signal });
  return (await response.json()) as NodeStatus;
}

function engineOf(pid: number): number[] {
  const out = execFileSync("pgrep", ["-P", `${pid}`], { encoding: "utf8" });
  return out.trim().split("\n").map(Number);
}

/** Clients that ask all the time. */
class Load {
  readonly replies: { reply: Reply; endedMs: number }[] = [];
  readonly failures: unknown[] = [];
  #isOver = false;
  readonly #clients: Promise<void>[];

  constructor(t: TestContext, url: string) {
    // A test that failed before its end.
    t.after(() => {
      this.#isOver = true;
    });
    this.#clients = Array.from({ length: CLIENTS }, () => this.#ask(url));
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients);
  }

  /** Of the last ones, from one token of a client to its next. */
  msPerToken(last: number): number {
    const times = this.replies
      .slice(-last)
      .flatMap(({ reply: { cameMs } }) =>
        cameMs.slice(1).map((ms, i) => ms - cameMs[i]!),
      );
    return times.reduce((a, b) => a + b, 0) / times.length;
  }

  async #ask(url: string): Promise<void> {
    while (!this.#isOver)
      try {
        const reply = await streamReply(url, ASK);
        this.replies.push({ reply, endedMs: Date.now() });
      } catch (error) {
        this.failures.push(error);
      }
  }
}

/** What a token takes with these sizes of the stages, in layers of the fastest machine, for so many sessions. */
function msOf(sizes: readonly number[], sessions: number): number {
  const speeds = [1, 2, 4];
  const times = sizes.map((size, i) => (size / speeds[i]!) * 4);
  const sum = times.reduce((a, b) => a + b, 0);
  return Math.max(sum, sessions * Math.max(...times));
}

function* everyCut(layers: number, stages: number): Generator<number[]> {
  if (stages === 1) {
    yield [layers];
    return;
  }
  for (let first = 1; first <= layers - stages + 1; first++)
    for (const rest of everyCut(layers - first, stages - 1))
      yield [first, ...rest];
}

const skip = noShares();

test(
  "machines of speeds 1, 2 and 4 find the best cut while they answer, once their operators agree",
  { skip },
  async (t) => {
    const after = ["--move-after", "15"];
    const scene = await Scene.start(
      t,
      [1 / 16, 1 / 8, 1 / 4],
      [0, 1, 2].map(() => [...after, "--move", "ask"]),
    );
    const expected = await streamReply(scene.url, ASK);
    const before = await scene.layers();
    const load = new Load(t, scene.url);
    await scene.when("a better cut waits for the operators of");
    assert.deepEqual(await scene.layers(), before);
    const found = await scene.plan();
    t.diagnostic(
      `${found.now.msPerToken} ms a token expected, ${found.better?.msPerToken} with the better cut, ${found.sessions} sessions at once; seen: ${load.msPerToken(6)} ms`,
    );
    for (const { member } of scene.machines) {
      const home = scene.cluster.homeOf(member.name);
      const { code, stderr } = await shoal(["plan", "--agree", "--home", home]);
      assert.equal(code, 0, stderr);
    }
    await scene.when("the cut has moved");
    await until("the old layers to be given back", async () =>
      (await scene.layers()).every((layers) => !layers.includes("and")),
    );
    const moved = load.replies.length;
    await until("replies with the new cut, and its times", async () => {
      const { now } = await scene.plan();
      return load.replies.length > moved + 9 && now.msPerToken !== null;
    });
    const plan = await scene.plan();
    await load.end();
    t.diagnostic(
      `${before.join(", ")} became ${(await scene.layers()).join(", ")}: ${plan.now.msPerToken} ms a token expected; seen: ${load.msPerToken(6)} ms, of ${load.replies.length} replies`,
    );

    assert.deepEqual(load.failures, []);
    for (const { reply } of load.replies) {
      assert.equal(reply.text, expected.text);
      assert.equal(reply.finish, "length");
    }
    const sizes = plan.now.stages.map((s) => s.layerEnd - s.layerStart);
    const all = [...everyCut(LAYERS, STAGES)];
    const best = Math.min(...all.map((cut) => msOf(cut, found.sessions)));
    assert.ok(
      msOf(sizes, found.sessions) <= 1.1 * best,
      `${sizes.join(", ")} layers: ${msOf(sizes, found.sessions)}, best ${best}`,
    );
    assert.equal(plan.version, 1);
  },
);

test(
  "machines alike are not moved in a minute of work",
  { skip },
  async (t) => {
    const after = ["--move-after", "15"];
    const scene = await Scene.start(
      t,
      [1 / 8, 1 / 8, 1 / 8],
      [after, after, after],
    );
    const before = await scene.layers();
    const load = new Load(t, scene.url);
    const startedMs = performance.now();
    await until(
      "a minute to pass",
      () => performance.now() - startedMs > 60_000,
    );
    const plan = await scene.plan();
    await load.end();
    t.diagnostic(
      `${load.replies.length} replies; ${plan.now.msPerToken} ms a token expected, ${plan.better?.msPerToken} with the best cut`,
    );
    assert.deepEqual(load.failures, []);
    assert.ok(load.replies.length > 0);
    assert.equal(plan.reason, null);
    assert.equal(plan.version, 0);
    assert.deepEqual(await scene.layers(), before);
    assert.ok(!scene.seen("moving the cut"));
  },
);
