/**
 * A member of a cluster in a process of its own: one that may be killed or stopped. Arguments: a rendezvous' addresses as JSON, the cluster, the number of
 * its shard, of how many. Prints a line when the rendezvous has confirmed its shard.
 */
import { Events } from "../../src/lib/index.ts";
import { Membership } from "../../src/cluster/index.ts";
import { Bootstraps, Commands, createHost } from "../../src/network/index.ts";
import { LOOPBACK } from "./network.ts";

const [addresses, cluster, index, count] = process.argv.slice(2);
const events = new Events();
const host = await createHost({ listen: LOOPBACK });
const commands = new Commands(host);
const membership = new Membership({
  host,
  commands,
  events,
  cluster: cluster!,
});
membership.start();
await host.start();
const shard = Number(index);
await membership.hold(() => ({
  manifest: "m",
  model: "demo",
  layerCount: 2 * Number(count),
  layerStart: 2 * shard,
  layerEnd: 2 * shard + 2,
  shard: { index: shard, count: Number(count) },
  state: "ready",
  contextLength: 512,
  batchTokens: 128,
  sessions: { active: 0, max: 4 },
  version: "0",
}));
new Bootstraps({
  host,
  targets: JSON.parse(addresses!) as string[],
  events,
  onConnected: ({ peer }) => {
    membership.join(peer).then(
      () => process.stdout.write(`${JSON.stringify({ peer: host.peerId })}\n`),
      () => {},
    );
  },
}).start();
