/** A swarm in this process: each role with its own host, real sockets between them, and an engine process for each node. */
import { join } from "node:path";
import { Events, resolvePaths } from "../../src/lib/index.ts";
import { splitModel } from "../../src/model/index.ts";
import { parseListen } from "../../src/network/index.ts";
import {
  type RoleContext,
  startGateway,
  startNode,
  startRendezvous,
} from "../../src/roles/index.ts";
import { temporaryFolder } from "./folder.ts";
import { answering } from "./swarm.ts";

/** Returns the gateway's URL, once it answers. */
export async function startSwarmHere(
  t: Parameters<typeof temporaryFolder>[0],
  options: {
    model: string;
    nodes: number;
    contextLength: number;
    /** More of the gateway's options. */
    gateway?: Partial<Parameters<typeof startGateway>[0]>;
    /** Hear what the gateway tells. */
    gatewayEvents?: Events;
  },
): Promise<string> {
  const { model, nodes, contextLength, gatewayEvents } = options;
  const stops: (() => Promise<void>)[] = [];
  // Registered first, so it runs first: a folder that is still being written to cannot be removed.
  t.after(async () => {
    for (const stop of stops.reverse()) await stop();
  });
  const home = await temporaryFolder(t);
  const modelDir = join(home, "shards");
  await splitModel({ path: model, shards: nodes, outDir: modelDir });
  const context = (name: string): RoleContext => ({
    events: new Events(),
    paths: resolvePaths(join(home, name)),
    signal: new AbortController().signal,
  });
  const listen = parseListen("127.0.0.1:0");
  const rendezvous = await startRendezvous(
    { listen, diagnostics: { host: "127.0.0.1", port: 0 } },
    context("rendezvous"),
  );
  stops.push(() => rendezvous.stop());
  const common = {
    bootstraps: [rendezvous.info.addresses[0]!],
    cluster: "here",
    listen,
    bootstrapTimeoutMs: 60_000,
  };
  const how = { contextLength, modelDir, sessions: 4, threads: 1, seed: false };
  for (let index = 0; index < nodes; index++) {
    const shard = { index, count: nodes };
    const of = context(`node-${index}`);
    const node = await startNode({ ...common, ...how, shard }, of);
    stops.push(() => node.stop());
  }
  const api = { apiHost: "127.0.0.1", apiPort: 0, ...options.gateway };
  const gateway = await startGateway(
    { ...common, ...api },
    { ...context("gateway"), ...(gatewayEvents && { events: gatewayEvents }) },
  );
  stops.push(() => gateway.stop());
  const { url = "" } = gateway.info;
  await answering(url);
  return url;
}
