/**
 * What waits, and what goes on, with real processes: requests that come before the swarm is ready, a gateway that is told to stop, one that is
 * killed beside another, and one whose engine dies. unstoppable.test.ts has the stages that are lost.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { splitModel } from "../../src/model/index.ts";
import type { NodeStatus, SessionStatus } from "../../src/status/index.ts";
import { TestCluster } from "../support/cluster.ts";
import { Lateness } from "../support/lateness.ts";
import type { Member } from "../support/member.ts";
import {
  answering,
  complete,
  DEMO_MODEL,
  startSwarm,
} from "../support/swarm.ts";
import { until } from "../support/until.ts";

const SHARDS = 2;
const MODEL = "Shoal demo";
const PROMPT = "Once upon a time there was a";
const TOKENS = 400;
/** Stages notice a gateway that is gone, and free what it had. */
const FREED_MS = 15_000;
/** Longer than any start here takes. */
const PATIENT = ["--ready-timeout", "600", "--recovery-timeout", "600"];

interface Gateway {
  member: Member;
  url: string;
  statusUrl: string;
}

async function statusOf(url: string): Promise<NodeStatus> {
  const response = await fetch(`${url}/api/v1/status`, {
    signal: AbortSignal.timeout(60_000),
  });
  return (await response.json()) as NodeStatus;
}

/** A long reply, with the end of generation biased away. A stream's response is there with its first token, and the rest is under way. */
async function ask(url: string, stream: boolean): Promise<Response> {
  return await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    signal: AbortSignal.timeout(150_000),
    body: JSON.stringify({
      model: MODEL,
      prompt: PROMPT,
      max_tokens: TOKENS,
      temperature: 0,
      logit_bias: { 2: -100 },
      stream,
    }),
  });
}

/** The text of a streamed reply that is whole. */
async function wholeText(response: Response): Promise<string> {
  const body = await response.text();
  assert.match(body, /"finish_reason":"length"[^\n]*\n\ndata: \[DONE\]\n\n$/);
  return body
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map((event) => {
      const { choices } = JSON.parse(event.slice(6)) as {
        choices: { text: string }[];
      };
      return choices[0]?.text ?? "";
    })
    .join("");
}

function engineOf(pid: number): number {
  return Number(execFileSync("pgrep", ["-P", `${pid}`], { encoding: "utf8" }));
}

class Scene {
  readonly cluster: TestCluster;
  readonly dir: string;
  readonly nodes: { member: Member; statusUrl: string }[] = [];

  private constructor(cluster: TestCluster, dir: string) {
    this.cluster = cluster;
    this.dir = dir;
  }

  /** A rendezvous, and shards in a folder. */
  static async set(t: Parameters<typeof TestCluster.start>[0]): Promise<Scene> {
    const cluster = await TestCluster.start(t);
    const dir = join(cluster.members.home, "shards");
    await splitModel({ path: DEMO_MODEL, shards: SHARDS, outDir: dir });
    return new Scene(cluster, dir);
  }

  async gateway(name: string, args: string[] = PATIENT): Promise<Gateway> {
    const ports = ["--api-port", "0", "--diagnostics-port", "0"];
    const member = this.cluster.start("serve", name, [...ports, ...args]);
    const { url, diagnosticsUrl } = await member.whenReady();
    return { member, url: url!, statusUrl: diagnosticsUrl! };
  }

  async startNode(shard: number): Promise<void> {
    const member = this.cluster.start("node", `node-${shard}`, [
      "--shard",
      `${shard}/${SHARDS}`,
      "--model-dir",
      this.dir,
      "--no-seed",
      "--threads",
      "1",
      "--diagnostics-port",
      "0",
    ]);
    const { diagnosticsUrl } = await member.whenReady();
    this.nodes[shard] = { member, statusUrl: diagnosticsUrl! };
  }

  async startNodes(): Promise<void> {
    const shards = [...Array(SHARDS).keys()];
    await Promise.all(shards.map((shard) => this.startNode(shard)));
  }

  /** Sessions at each node. */
  async active(): Promise<number[]> {
    return await Promise.all(
      this.nodes.map(async ({ statusUrl }) => {
        const { sessions } = await statusOf(statusUrl);
        return sessions!.active;
      }),
    );
  }
}

/** A session of that gateway that runs and is as asked for. */
async function session(
  { statusUrl }: Gateway,
  what: string,
  is: (session: SessionStatus) => boolean,
): Promise<SessionStatus> {
  let found: SessionStatus | undefined;
  await until(
    what,
    async () => {
      const { sessions } = await statusOf(statusUrl);
      found = sessions!.recent.find((one) => one.endedMs === null && is(one));
      return found !== undefined;
    },
    10,
  );
  return found!;
}

const waitsFor = (what: RegExp) => (one: SessionStatus) =>
  one.state === "waiting" && what.test(one.waitingFor ?? "");

test("requests wait for a first node, then for the shard that is missing, and are answered; a gateway without patience says why", async (t) => {
  const scene = await Scene.set(t);
  const [patient, hasty] = await Promise.all([
    scene.gateway("patient"),
    scene.gateway("hasty", ["--ready-timeout", "1"]),
  ]);
  const early = [ask(patient.url, true), ask(patient.url, false)];
  for (const one of early) one.catch(() => {});
  await session(patient, "a request that waits", waitsFor(/^a node to join$/));
  const askedMs = performance.now();
  const refused = await ask(hasty.url, true);
  assert.ok(performance.now() - askedMs >= 900, "it waited");
  assert.equal(refused.status, 503);
  assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/);
  assert.match(
    await refused.text(),
    /no node has joined the cluster \(waited 1 s\)/,
  );

  await scene.startNode(0);
  await session(
    patient,
    "what they wait for then",
    waitsFor(/^shard 1 of 2 \(layers \d+-\d+\)$/),
  );
  await scene.startNode(1);
  const [streamed, whole] = await Promise.all(early);
  assert.deepEqual([streamed!.status, whole!.status], [200, 200]);
  const text = await wholeText(streamed!);
  const { choices } = (await whole!.json()) as { choices: { text: string }[] };
  assert.equal(choices[0]!.text, text);

  await scene.nodes[1]!.member.kill();
  await until("the loss to be known", async () => {
    const { ready } = await statusOf(patient.statusUrl);
    return !ready;
  });
  const again = ask(patient.url, true);
  again.catch(() => {});
  await session(patient, "one that waits again", waitsFor(/^shard 1 of 2 /));
  await scene.startNode(1);
  assert.equal(await wholeText(await again), text);
});

test("a gateway that is told to stop refuses what is new, ends what runs, even what waits for a machine, and exits with 0; told twice it ends at once", async (t) => {
  const scene = await Scene.set(t);
  const [stopping, ended] = await Promise.all([
    scene.gateway("stopping"),
    scene.gateway("ended"),
    scene.startNodes(),
  ]);
  await Promise.all([answering(stopping.url), answering(ended.url)]);
  const expected = await wholeText(await ask(ended.url, true));

  const [going, breaking] = await Promise.all([
    ask(stopping.url, true),
    ask(ended.url, true),
  ]);
  await scene.nodes[1]!.member.kill();
  const whole = wholeText(going);
  whole.catch(() => {});
  const isBroken = assert.rejects(breaking.text());
  for (const gateway of [stopping, ended])
    await session(gateway, "a reply that waits", waitsFor(/1 of 2 \(layers/));

  process.kill(stopping.member.pid, "SIGTERM");
  process.kill(ended.member.pid, "SIGINT");
  for (const { url, member } of [stopping, ended]) {
    await member.when(
      ({ message }) => message.startsWith("draining"),
      "its drain",
    );
    let refused!: Response;
    await until("what is new to be refused", async () => {
      refused = await fetch(`${url}/v1/models`);
      return refused.status === 503;
    });
    assert.equal(refused.headers.get("connection"), "close");
    assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/);
    assert.match(await refused.text(), /"code":"shutting_down"/);
    assert.equal((await ask(url, false)).status, 503);
  }
  using lateness = new Lateness();
  const againMs = performance.now();
  process.kill(ended.member.pid, "SIGTERM");
  assert.equal(await ended.member.exited, 130);
  const tookMs = performance.now() - againMs - lateness.ms;
  assert.ok(tookMs < 5_000, `it took ${Math.round(tookMs)} ms`);
  await isBroken;

  await scene.startNode(1);
  assert.equal(await whole, expected);
  assert.equal(await stopping.member.exited, 0);
  await until("the nodes to be free", async () =>
    (await scene.active()).every((active) => active === 0),
  );
});

test("of three gateways one hangs and one is killed in the middle of replies: the stages free them within 15 s, and the third answers all the while; the one that hung ends its replies when it wakes", async (t) => {
  const scene = await Scene.set(t);
  const [hung, killed, other] = await Promise.all([
    scene.gateway("hung"),
    scene.gateway("killed"),
    scene.gateway("other"),
    scene.startNodes(),
  ]);
  for (const { url } of [hung, killed, other]) await answering(url);
  const { text: expected } = await complete(other.url, PROMPT, 24);
  const long = await wholeText(await ask(hung.url, true));

  const over = new AbortController();
  let answers = 0;
  const answered = (async () => {
    while (!over.signal.aborted) {
      assert.equal((await complete(other.url, PROMPT, 24)).text, expected);
      answers++;
    }
  })();
  answered.catch(() => {});
  const strike = async (
    gateway: Gateway,
    signal: NodeJS.Signals,
  ): Promise<Response[]> => {
    const replies = await Promise.all([
      ask(gateway.url, true),
      ask(gateway.url, true),
    ]);
    const before = answers;
    using lateness = new Lateness();
    const struckMs = performance.now();
    process.kill(gateway.member.pid, signal);
    // A status is a moment old.
    await until(
      "the sessions to be told",
      async () => (await scene.active()).every((count) => count >= 2),
      10,
    );
    // At most the other's one is left.
    await until("the replies' sessions to be free", async () =>
      (await scene.active()).every((count) => count <= 1),
    );
    const freedMs = performance.now() - struckMs - lateness.ms;
    t.diagnostic(`${signal}: freed after ${Math.round(freedMs)} ms`);
    assert.ok(freedMs < FREED_MS, `${Math.round(freedMs)} ms`);
    await until("the third to answer", () =>
      Promise.resolve(answers > before + 1),
    );
    return replies;
  };
  for (const reply of await strike(killed, "SIGKILL"))
    await assert.rejects(reply.text());
  const replies = await strike(hung, "SIGSTOP");
  process.kill(hung.member.pid, "SIGCONT");
  for (const reply of replies) assert.equal(await wholeText(reply), long);
  over.abort();
  await answered;
  await until("all to be free", async () =>
    (await scene.active()).every((count) => count === 0),
  );
});

test("a gateway whose engine dies ends the reply under way as if nothing had happened, and answers the next", async (t) => {
  const scene = await Scene.set(t);
  const [gateway] = await Promise.all([
    scene.gateway("gateway"),
    scene.startNodes(),
  ]);
  await answering(gateway.url);
  const expected = await wholeText(await ask(gateway.url, true));
  const reply = await ask(gateway.url, true);
  process.kill(engineOf(gateway.member.pid), "SIGKILL");
  assert.equal(await wholeText(reply), expected);
  assert.equal(await wholeText(await ask(gateway.url, true)), expected);
});

test("a swarm on one machine that is told to stop tells the client whose reply it cannot end", async () => {
  await using swarm = await startSwarm({ nodes: SHARDS });
  const response = await ask(swarm.apiUrl, true);
  process.kill(engineOf(swarm.pidOf("node 1")), "SIGSTOP");
  await swarm.stop();
  const body = await response.text();
  assert.match(body, /"code":"shutting_down"[^\n]*\n\n$/);
  assert.doesNotMatch(body, /"finish_reason":"|\[DONE\]/);
});
