/** Swarms whose members run on machines of their own, in a network whose links a test or a bench makes slow. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { NodeStatus, SessionStatus } from "../../src/status/index.ts";
import { MEMBER_PATIENCE_MS, type Members } from "./member.ts";
import type { Place, TestNetwork } from "./namespaces.ts";
import { answering } from "./swarm.ts";

const PORT = 51820;

/** No end of its own, and no token without a text of its own, such as a byte of a longer character: its time would not be seen. */
const NO_END = Object.fromEntries(
  [0, 1, 2, ...Array.from({ length: 128 }, (_, i) => 3 + 128 + i)].map(
    (token) => [token, -100],
  ),
);

export interface Far {
  /** In the order of `shards`. */
  nodes: { place: Place; peer: string }[];
  api: string;
  status: () => Promise<NodeStatus>;
}

export interface FarOptions {
  network: TestNetwork;
  members: Members;
  /** Of the split model. */
  dir: string;
  /** One node for each; the number of its shard. */
  shards: readonly number[];
  stages: number;
  nodeFlags?: readonly string[];
  /** Called when the machines are there, before anything runs. */
  onPlaces?: (places: readonly Place[]) => Promise<unknown>;
}

/** A rendezvous, a gateway and nodes, each on a machine of its own. */
export async function startFar({
  network,
  members,
  dir,
  shards,
  stages,
  nodeFlags = [],
  onPlaces,
}: FarOptions): Promise<Far> {
  const places: Place[] = [];
  for (let i = 0; i < shards.length + 2; i++)
    places.push(await network.place());
  const [rendezvousAt, gatewayAt, ...nodesAt] = places as [Place, Place];
  await onPlaces?.(places);
  const start = (name: string, place: Place, role: readonly string[]) =>
    members.start(
      name,
      [
        ...role,
        "--listen",
        `${place.address}:${PORT}`,
        "--diagnostics-host",
        "127.0.0.1",
        "--home",
        join(members.home, `${name} at ${place.address}`),
      ],
      place.within,
    );
  const rendezvous = start("rendezvous", rendezvousAt, ["rendezvous"]);
  const { peerId } = await rendezvous.whenReady();
  const bootstrap = `${rendezvousAt.address}:${PORT}/p2p/${peerId}`;
  const joining = ["--bootstrap", bootstrap, "--cluster", "far"];
  const holding = [
    "--model-dir",
    dir,
    "--no-seed",
    "--threads",
    "1",
    ...nodeFlags,
  ];
  const gateway = start("gateway", gatewayAt, ["serve", ...joining]);
  const nodes = shards.map((shard, i) => {
    const role = ["node", "--shard", `${shard}/${stages}`];
    const place = (nodesAt as Place[])[i]!;
    const member = start(`node-${i}`, place, [...role, ...holding, ...joining]);
    return { place, member };
  });
  const { url = "", diagnosticsUrl = "" } = await gateway.whenReady();
  const held = await Promise.all(
    nodes.map(async ({ place, member }) => {
      await member.swarmReady();
      return { place, peer: (await member.whenReady()).peerId };
    }),
  );
  await gateway.swarmReady();
  const api = await gatewayAt.door(url);
  const page = await gatewayAt.door(diagnosticsUrl);
  await answering(api);
  const status = async (): Promise<NodeStatus> => {
    const signal = AbortSignal.timeout(MEMBER_PATIENCE_MS);
    const response = await fetch(`${page}/api/v1/status`, { signal });
    return (await response.json()) as NodeStatus;
  };
  return { nodes: held, api, status };
}

export interface Streamed {
  /** Between its tokens. */
  gapsMs: number[];
  /** What the gateway says of it. */
  session: SessionStatus;
}

/** Streams a greedy reply of so many tokens. */
export async function stream(
  { api, status }: Far,
  tokens: number,
): Promise<Streamed> {
  const signal = AbortSignal.timeout(MEMBER_PATIENCE_MS);
  const models = await fetch(`${api}/v1/models`, { signal });
  const { data } = (await models.json()) as { data: { id: string }[] };
  const response = await fetch(`${api}/v1/completions`, {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: data[0]!.id,
      prompt: [260, 261, 262, 263],
      max_tokens: tokens,
      temperature: 0,
      logit_bias: NO_END,
      stream: true,
    }),
  });
  assert.equal(response.status, 200);
  const arrivals: number[] = [];
  let text = "";
  for await (const part of response.body!.pipeThrough(
    new TextDecoderStream(),
  )) {
    text += part;
    const events = text.split("\n\n");
    text = events.pop() ?? "";
    for (const event of events)
      if (/"text":"[^"]/.test(event)) arrivals.push(performance.now());
  }
  assert.equal(arrivals.length, tokens);
  const gapsMs = arrivals.slice(1).map((ms, i) => ms - arrivals[i]!);
  const session = (await status()).sessions!.recent[0]!;
  assert.equal(session.tokens, tokens);
  return { gapsMs, session };
}
