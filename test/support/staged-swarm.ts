/** A swarm of three stages, each a node with one holder, whose nodes are stopped and started one by one. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { splitModel } from "../../src/model/index.ts";
import type { NodeStatus } from "../../src/status/index.ts";
import { TestCluster } from "./cluster.ts";
import type { Member } from "./member.ts";
import { answering } from "./swarm.ts";
import { until } from "./until.ts";

const SHARDS = 3;
/** The end of generation, tokens without text, and bytes that are a part of a character: of writeRandomModel's vocabulary. */
export const BANNED: readonly number[] = [
  0,
  1,
  2,
  ...Array.from({ length: 128 }, (_, i) => 131 + i),
];

/** The name that writeRandomModel gives. */
const RANDOM_MODEL = "Random weights";

export interface Answer {
  text: string;
  /** Until all was said. */
  ms: number;
  cached: number;
  recoveries: number;
}

export class StagedSwarm {
  readonly #cluster: TestCluster;
  readonly #dir: string;
  readonly #how: readonly string[];
  readonly nodes: Member[] = [];
  apiUrl = "";
  #statusUrl = "";

  private constructor(cluster: TestCluster, dir: string, how: string[]) {
    this.#cluster = cluster;
    this.#dir = dir;
    this.#how = how;
  }

  static async start(
    t: Parameters<typeof TestCluster.start>[0],
    model: string,
    ...how: string[]
  ): Promise<StagedSwarm> {
    const cluster = await TestCluster.start(t);
    const dir = join(cluster.members.home, "shards");
    await splitModel({ path: model, shards: SHARDS, outDir: dir });
    const swarm = new StagedSwarm(cluster, dir, how);
    const gateway = cluster.start("serve", "gateway", [
      "--api-port",
      "0",
      "--diagnostics-port",
      "0",
    ]);
    await Promise.all([0, 1, 2].map((i) => swarm.startNode(i)));
    const { url, diagnosticsUrl } = await gateway.whenReady();
    swarm.apiUrl = url!;
    swarm.#statusUrl = diagnosticsUrl!;
    await answering(swarm.apiUrl);
    return swarm;
  }

  async startNode(i: number): Promise<void> {
    const name = `node-${i}`;
    const shard = ["--shard", `${i}/${SHARDS}`, "--model-dir", this.#dir];
    const alone = ["--no-seed", "--threads", "1"];
    const args = [...shard, ...alone, ...this.#how];
    const member = this.#cluster.start("node", name, args);
    this.nodes[i] = member;
    await member.whenReady();
  }

  async ask(prompt: Int32Array, tokens: number): Promise<Answer> {
    const startedMs = performance.now();
    const response = await fetch(`${this.apiUrl}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(300_000),
      body: JSON.stringify({
        model: RANDOM_MODEL,
        prompt: [...prompt],
        max_tokens: tokens,
        temperature: 0,
        logit_bias: Object.fromEntries(BANNED.map((id) => [id, -100])),
      }),
    });
    const body = await response.text();
    assert.equal(response.status, 200, body);
    const { choices, usage } = JSON.parse(body) as {
      choices: { text: string }[];
      usage: {
        prompt_tokens_details: { cached_tokens: number };
        shoal: { recoveries: number };
      };
    };
    return {
      text: choices[0]!.text,
      ms: performance.now() - startedMs,
      cached: usage.prompt_tokens_details.cached_tokens,
      recoveries: usage.shoal.recoveries,
    };
  }

  /** Tokens that a node's process has computed so far. */
  async computed(i: number): Promise<number> {
    const { diagnosticsUrl } = await this.nodes[i]!.whenReady();
    const response = await fetch(`${diagnosticsUrl}/api/v1/status`);
    return ((await response.json()) as NodeStatus).sessions!.tokens;
  }

  /** The same, once its engine has told all: it does so twice a second. */
  async computedInAll(i: number): Promise<number> {
    let last = -1;
    await until(
      "a node to have told all",
      async () => {
        const before = last;
        last = await this.computed(i);
        return last === before;
      },
      1_000,
    );
    return last;
  }

  killEngine(i: number): void {
    const { pid } = this.nodes[i]!;
    const engine = execFileSync("pgrep", ["-P", `${pid}`], {
      encoding: "utf8",
    });
    process.kill(Number(engine), "SIGKILL");
  }

  /** A reply has begun. */
  async underWay(): Promise<void> {
    await until("a reply to begin", async () => {
      const response = await fetch(`${this.#statusUrl}/api/v1/status`);
      const { sessions } = (await response.json()) as NodeStatus;
      return sessions!.recent.some((s) => s.endedMs === null && s.tokens > 0);
    });
  }

  /** Removes what a node that was stopped has kept. */
  forget(i: number): void {
    rmSync(this.#keptRoot(i), { recursive: true, force: true });
  }

  /** Files of a node's kept sessions. */
  kept(i: number): string[] {
    const root = this.#keptRoot(i);
    try {
      return readdirSync(root, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".kv"))
        .map((name) => join(root, name));
    } catch {
      return [];
    }
  }

  #keptRoot(i: number): string {
    return join(this.#cluster.homeOf(`node-${i}`), "data", "kept");
  }

  /** Each node has written what it keeps. */
  async written(least: number): Promise<void> {
    await until("kept sessions to be written", async () =>
      [0, 1, 2].every((i) => this.kept(i).length >= least),
    );
  }
}
