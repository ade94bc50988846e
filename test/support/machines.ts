/** Three machines of speeds that a test or a bench chooses, whose cut may move while clients ask all the time. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import type { NodeStatus, PlanStatus } from "../../src/status/index.ts";
import { shoal } from "./cli.ts";
import { TestCluster } from "./cluster.ts";
import { CpuShares } from "./cpu-shares.ts";
import type { Member } from "./member.ts";
import { writeRandomModel } from "./models.ts";
import { type Reply, streamReply } from "./reply.ts";
import { answering } from "./swarm.ts";

/** 17 MB a layer: a stage computes for longer than the period of its processor's share. */
export const LAYERS = 7;
const MODEL = {
  layers: LAYERS,
  embeddingLength: 768,
  heads: 8,
  kvHeads: 4,
  feedForward: 1024,
  vocabSize: 320,
  vocab: "bytes",
} as const;
export const STAGES = 3;
export const CLIENTS = 3;
/** With four times of each machine, where the default takes 36. */
const MOVE_AFTER_S = 20;
export const ASK = { model: "Random weights", max_tokens: 16 };

interface Undo {
  after: (undo: () => Promise<void>) => void;
}

interface Machine {
  member: Member;
  statusUrl: string;
  /** The stage that it took at first. */
  stage: number;
}

export class Machines {
  readonly cluster: TestCluster;
  readonly url: string;
  /** By stage. */
  readonly machines: Machine[];

  private constructor(cluster: TestCluster, url: string, machines: Machine[]) {
    this.cluster = cluster;
    this.url = url;
    this.machines = machines;
  }

  /** Three nodes with a stage each; `of` is a processor's part, by stage, `policies` are by node. */
  static async start(
    t: Undo,
    of: readonly number[],
    policies: readonly string[],
  ): Promise<Machines> {
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
    const nodes = policies.map((policy, i) =>
      cluster.start("node", `node-${i}`, [
        "--context",
        "512",
        "--threads",
        "1",
        "--standby",
        "off",
        "--diagnostics-port",
        "0",
        "--move",
        policy,
        "--move-after",
        String(MOVE_AFTER_S),
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
    return new Machines(cluster, url, machines);
  }

  /** As any member tells it. */
  async plan(): Promise<PlanStatus> {
    const { stdout, stderr, code } = await shoal([
      "plan",
      "--json",
      "--bootstrap",
      this.cluster.bootstrap,
      "--cluster",
      "test",
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
export class Askers {
  readonly replies: { reply: Reply; endedMs: number }[] = [];
  readonly failures: unknown[] = [];
  #isOver = false;
  readonly #clients: Promise<void>[];

  constructor(t: Undo, url: string) {
    // A test that failed before its end.
    t.after(async () => {
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
