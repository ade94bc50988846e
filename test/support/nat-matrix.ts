/**
 * Pairs of homes, each with a cluster of its own: stage 0 in one home, stage 1 in the other. Two gateways serve all clusters, one in public and
 * one behind a router. Says of each pair whether its pipeline became ready, a chat was answered, and how the two stages were connected.
 */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { splitModel } from "../../src/model/index.ts";
import type { NodeStatus } from "../../src/status/index.ts";
import { type HomeKind, Homes } from "./homes.ts";
import { type Member, MEMBER_PATIENCE_MS, type Members } from "./member.ts";
import type { Place } from "./namespaces.ts";
import { DEMO_MODEL } from "./swarm.ts";

const PORT = 51820;
const SHARDS = 2;
/** Of one chat: a stage that is lost is noticed after seconds. */
const CHAT_MS = 30_000;
const BETWEEN_CHATS_MS = 500;
/** A dial of each side, and the next one. */
const NOT_YET_MS = 10_000;

/** Where the routers of the lab's second gateway stand. */
export const GATEWAY_KIND: HomeKind = "port restricted";

export type Pair = readonly [HomeKind, HomeKind];

/** Where a gateway stands. */
export type GatewayAt = "public" | "home";

/** Whether these two machines reach each other by now. */
function reach(a: HomeKind, b: HomeKind): boolean {
  return a === "open" || b === "open";
}

/** A token goes from the gateway to stage 0, to stage 1, and back to the gateway. */
export function mustAnswer([a, b]: Pair, gateway: GatewayAt): boolean {
  const at = gateway === "home" ? GATEWAY_KIND : "open";
  return reach(a, b) && reach(b, at) && reach(at, a);
}

/** What is not expected to be answered yet need not be waited for. */
export function patienceMs(pair: Pair, gateway: GatewayAt): number {
  return mustAnswer(pair, gateway) ? MEMBER_PATIENCE_MS : NOT_YET_MS;
}

export interface PairResult {
  pair: Pair;
  /** How stage 0 is connected with stage 1; "none" if they are not. */
  way: string;
  /** By the gateway in public, and by the one behind a router. */
  answers: Record<GatewayAt, Answer>;
}

export interface Answer {
  /** Milliseconds from the nodes' joining until the gateway called the cluster ready; undefined if it did not. */
  readyMs: number | undefined;
  /** Until a chat was answered. */
  answeredMs: number | undefined;
  /** The last refusal, if none was. */
  why: string;
}

export interface MatrixOptions {
  members: Members;
  pairs: readonly Pair[];
  /** Pairs at the same time. */
  lanes: number;
  /** From the nodes' joining until a chat is answered. */
  patienceMs: (pair: Pair, gateway: GatewayAt) => number;
}

export async function natMatrix({
  members,
  pairs,
  lanes,
  patienceMs,
}: MatrixOptions): Promise<PairResult[]> {
  await using homes = await Homes.create();
  const lab = await Lab.create(homes, members, pairs);
  const results: PairResult[] = [];
  const todo = pairs.entries();
  const lane = async (): Promise<void> => {
    // All lanes take from one list.
    for (const [i, pair] of todo) results[i] = await lab.pair(pair, patienceMs);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}

interface Gateway {
  api: string;
  status: () => Promise<NodeStatus>;
}

class Lab {
  readonly #homes: Homes;
  readonly #members: Members;
  readonly #dir: string;
  readonly #bootstrap: string;
  readonly #gateways: Record<GatewayAt, Gateway>;

  private constructor(
    homes: Homes,
    members: Members,
    from: { dir: string; bootstrap: string; gateways: Gateway[] },
  ) {
    this.#homes = homes;
    this.#members = members;
    this.#dir = from.dir;
    this.#bootstrap = from.bootstrap;
    const [inPublic, atHome] = from.gateways as [Gateway, Gateway];
    this.#gateways = { public: inPublic, home: atHome };
  }

  static async create(
    homes: Homes,
    members: Members,
    pairs: readonly Pair[],
  ): Promise<Lab> {
    const dir = join(members.home, "shards");
    await splitModel({ path: DEMO_MODEL, shards: SHARDS, outDir: dir });
    const place = await homes.public();
    const rendezvous = members.start(
      "rendezvous",
      ["rendezvous", ...own(members, "rendezvous", place)],
      place.within,
    );
    const { addresses } = await rendezvous.whenReady();
    const bootstrap = addresses.join(",");
    const clusters = pairs.map(nameOf).join(",");
    const gateways = [await homes.public(), await homes.home(GATEWAY_KIND)].map(
      async (at, i) => {
        const name = `gateway-${i}`;
        const role = ["serve", "--cluster", clusters, "--bootstrap", bootstrap];
        // Each refusal is told at once.
        const flags = ["--recovery-timeout", "0", "--ready-timeout", "0"];
        const args = [...role, ...flags, ...own(members, name, at)];
        const gateway = members.start(name, args, at.within);
        const { url = "" } = await gateway.whenReady();
        const status = await statusOf(gateway, at);
        return { api: await at.door(url), status };
      },
    );
    return new Lab(homes, members, {
      dir,
      bootstrap,
      gateways: await Promise.all(gateways),
    });
  }

  async pair(
    pair: Pair,
    patience: MatrixOptions["patienceMs"],
  ): Promise<PairResult> {
    const nodes = await Promise.all(
      pair.map((kind, shard) => this.#node(pair, kind, shard)),
    );
    try {
      await Promise.all(nodes.map(({ member }) => joined(member)));
      const sinceMs = performance.now();
      const ask = (at: GatewayAt): Promise<Answer> =>
        answer(this.#gateways[at], nameOf(pair), sinceMs, patience(pair, at));
      const [inPublic, atHome] = await Promise.all([
        ask("public"),
        ask("home"),
      ]);
      const answers = { public: inPublic, home: atHome };
      return { pair, way: await wayBetween(nodes), answers };
    } finally {
      await Promise.all(nodes.map(({ member }) => member.kill()));
    }
  }

  async #node(pair: Pair, kind: HomeKind, shard: number): Promise<Node> {
    const place = await this.#homes.home(kind);
    const name = `${nameOf(pair)} ${shard}`;
    const member = this.#members.start(
      name,
      [
        "node",
        "--shard",
        `${shard}/${SHARDS}`,
        "--model-dir",
        this.#dir,
        "--no-seed",
        "--threads",
        "1",
        "--cluster",
        nameOf(pair),
        "--bootstrap",
        this.#bootstrap,
        ...own(this.#members, name, place),
      ],
      place.within,
    );
    return { member, place };
  }
}

interface Node {
  member: Member;
  place: Place;
}

export function nameOf([a, b]: Pair): string {
  return `${a}-${b}`.replaceAll(" ", "_");
}

function own({ home }: Members, name: string, place: Place): string[] {
  const listen = place.addresses.map((address) =>
    address.includes(":") ? `[${address}]:${PORT}` : `${address}:${PORT}`,
  );
  return [
    "--listen",
    listen.join(","),
    "--home",
    join(home, name),
    "--diagnostics-host",
    "127.0.0.1",
    "--diagnostics-port",
    "0",
  ];
}

async function joined(member: Member): Promise<void> {
  await member.when(
    ({ message }) => message.includes("confirmed by the rendezvous"),
    "to join",
  );
}

async function statusOf(
  member: Member,
  place: Place,
): Promise<() => Promise<NodeStatus>> {
  const { diagnosticsUrl = "" } = await member.whenReady();
  const page = await place.door(diagnosticsUrl);
  return async () => {
    const signal = AbortSignal.timeout(MEMBER_PATIENCE_MS);
    const response = await fetch(`${page}/api/v1/status`, { signal });
    return (await response.json()) as NodeStatus;
  };
}

async function answer(
  { api, status }: Gateway,
  cluster: string,
  sinceMs: number,
  patienceMs: number,
): Promise<Answer> {
  const tookMs = (): number => Math.round(performance.now() - sinceMs);
  const seen: Answer = { readyMs: undefined, answeredMs: undefined, why: "" };
  for (;;) {
    const { clusters } = await status();
    const own = clusters.find((one) => one.cluster === cluster);
    if (own?.ready === true) seen.readyMs ??= tookMs();
    const { isAnswered, words } = await chat(api, cluster);
    if (isAnswered) return { ...seen, answeredMs: tookMs() };
    seen.why = words;
    if (tookMs() > patienceMs) return seen;
    await pause(BETWEEN_CHATS_MS);
  }
}

async function chat(
  api: string,
  model: string,
): Promise<{ isAnswered: boolean; words: string }> {
  const response = await fetch(`${api}/v1/chat/completions`, {
    method: "POST",
    signal: AbortSignal.timeout(CHAT_MS),
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: "Tell me a story." }],
      max_tokens: 8,
      temperature: 0,
    }),
  });
  const body = (await response.json()) as {
    choices?: { message: { content: string } }[];
    error?: { message: string };
  };
  const words =
    body.choices?.[0]?.message.content ?? body.error?.message ?? "no words";
  return { isAnswered: response.ok, words };
}

/** As the node of stage 0 says. */
async function wayBetween([first, second]: readonly Node[]): Promise<string> {
  const [{ peerId }, status] = await Promise.all([
    second!.member.whenReady(),
    statusOf(first!.member, first!.place),
  ]);
  const { connections } = await status();
  const ways = connections
    .filter(({ peer }) => peer === peerId)
    .map(({ transport, way }) => `${way}, ${transport}`);
  return ways.length === 0 ? "none" : [...new Set(ways)].join("; ");
}

/** A line for each pair. */
export function tableOf(results: readonly PairResult[]): string[] {
  const rows = results.map(({ pair, way, answers }) => [
    pair.join(" × "),
    way,
    told(answers.public),
    told(answers.home),
  ]);
  const head = ["stages", "way", "gateway in public", "gateway at home"];
  const widths = head.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => row[i]!.length)),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd(),
  );
}

function told({ readyMs, answeredMs, why }: Answer): string {
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const ready = readyMs === undefined ? "not ready" : "ready";
  return answeredMs === undefined
    ? `not yet (${ready}): ${why.slice(0, 60)}`
    : `answered after ${seconds(answeredMs)}`;
}
