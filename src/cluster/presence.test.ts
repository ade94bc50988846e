/** One process in several clusters, over real sockets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  joined,
  type Peer,
  sees,
  shard,
  startRendezvous,
} from "../../test/support/memberships.ts";
import { makeHost, targetOf } from "../../test/support/network.ts";
import { Events } from "../lib/index.ts";
import { Commands } from "../network/index.ts";
import { Membership } from "./membership.ts";
import { Presence } from "./presence.ts";
import {
  CLUSTERS_PER_MESSAGE,
  LIST_CLUSTERS,
  type ListedCluster,
} from "./protocol.ts";

async function listed(
  asking: Peer,
  peer: string,
  after = "",
): Promise<{ clusters: ListedCluster[]; more: boolean }> {
  const { name, result } = LIST_CLUSTERS;
  return await asking.commands.call(peer, name, { after }, result);
}

test("a process is in two clusters with one identity, sees the members of each, and leaves one of them", async (t) => {
  const rendezvous = await startRendezvous(t);
  const one = await joined(t, rendezvous, { cluster: "one" });
  const two = await joined(t, rendezvous, { cluster: "two" });
  await one.membership.hold(shard(0));
  await two.membership.hold(shard(1));
  const host = await makeHost(t);
  const commands = new Commands(host);
  const how = { host, commands, events: new Events() };
  const presence = new Presence(how);
  presence.start();
  await host.start();
  await host.connect(targetOf(rendezvous.host, "TCP"));
  const memberships = ["one", "two"].map(
    (cluster) => new Membership({ ...how, cluster, presence }),
  );
  for (const membership of memberships) {
    membership.start();
    t.after(() => membership.stop());
    await membership.join(rendezvous.host.peerId);
  }
  const shards = memberships.map((membership) =>
    membership
      .announcements()
      .map(({ peer, shard: { index } }) => [
        peer === one.host.peerId ? "one" : "two",
        index,
      ]),
  );
  assert.deepEqual(shards, [[["one", 0]], [["two", 1]]]);
  await one.membership.hold(shard(1));
  const [first] = memberships;
  const gateway = { host, commands, membership: first! };
  await sees(gateway, (m) => m.view()?.ready === true, "a later shard");
  const names = async (): Promise<string[]> =>
    (await listed(rendezvous, host.peerId)).clusters.map(({ name }) => name);
  assert.deepEqual(await names(), ["one", "two"]);
  first?.stop();
  assert.deepEqual(await names(), ["two"]);
});

test("a rendezvous lists the clusters that have a member, with their models, and not those that somebody only asked for", async (t) => {
  const rendezvous = await startRendezvous(t);
  const asking = await joined(t, rendezvous, { cluster: "empty" });
  const node = await joined(t, rendezvous, { cluster: "lively" });
  await node.membership.hold(shard(0));
  const { clusters, more } = await listed(asking, rendezvous.host.peerId);
  const { model, manifest } = node.membership.announcements()[0]!;
  assert.deepEqual(clusters, [
    { name: "lively", model, manifest, ready: false },
  ]);
  assert.equal(more, false);
  await node.membership.hold(shard(1));
  const now = await listed(asking, rendezvous.host.peerId);
  assert.equal(now.clusters[0]?.ready, true);
  await node.membership.leave();
  const after = await listed(asking, rendezvous.host.peerId);
  assert.deepEqual(after.clusters, []);
});

test("more clusters than fit into a message come in pages", async (t) => {
  const rendezvous = await startRendezvous(t);
  const host = await makeHost(t);
  const commands = new Commands(host);
  const how = { host, commands, events: new Events() };
  const presence = new Presence(how);
  presence.start();
  await host.start();
  await host.connect(targetOf(rendezvous.host, "TCP"));
  const names = Array.from(
    { length: CLUSTERS_PER_MESSAGE + 2 },
    (_, i) => `cluster ${String(i).padStart(3, "0")}`,
  );
  for (const cluster of names) {
    const membership = new Membership({ ...how, cluster, presence });
    membership.start();
    t.after(() => membership.stop());
    await membership.join(rendezvous.host.peerId);
    await membership.hold(shard(0));
  }
  const pages: string[][] = [];
  for (let after = "", more = true; more;) {
    const page = await listed(
      { host, commands },
      rendezvous.host.peerId,
      after,
    );
    pages.push(page.clusters.map(({ name }) => name));
    after = pages.at(-1)!.at(-1)!;
    ({ more } = page);
  }
  assert.deepEqual(pages, [
    names.slice(0, CLUSTERS_PER_MESSAGE),
    names.slice(CLUSTERS_PER_MESSAGE),
  ]);
});
