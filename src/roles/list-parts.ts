/** Which parts of a cluster's model are kept by how many: what `shoal torrents` does. Joins as a reader; has no weights and serves none. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLUSTER_RECORD_DEFAULTS } from "../cluster/index.ts";
import { fetchParts } from "../weights/index.ts";
import { ShoalError, removeTree } from "../lib/index.ts";
import type { Dht } from "../network/index.ts";
import { CatalogSync } from "../catalog/index.ts";
import { toRoot } from "../store/index.ts";
import { joinCluster, lanOf } from "./join.ts";
import { createGuest, startMember } from "./member.ts";
import type { RoleContext } from "./role.ts";

/** Providers of a part that are asked for the manifest, and how long they are looked for: somebody waits for the list. */
const PROVIDERS_ASKED = 4;
const FIND_MS = 5_000;

export interface ListPartsOptions {
  bootstraps: readonly string[];
  cluster: string;
  listen: readonly string[];
  bootstrapTimeoutMs: number;
}

export interface PartCopies {
  name: string;
  root: string;
  sizeBytes: number;
  /** Whole ones. */
  copies: number;
  /** On their way. */
  coming: number;
  /** Of the whole ones, on spare disk. */
  spare: number;
}

export interface ListPartsResult {
  manifest: string;
  model: string;
  /** Wanted copies of each part. */
  target: number;
  /** In the model's order. */
  parts: PartCopies[];
  /** Parts that nobody lists are among them. False where no member gave the model's manifest. */
  isComplete: boolean;
}

export async function listParts(
  options: ListPartsOptions,
  { events, signal }: Pick<RoleContext, "events" | "signal">,
): Promise<ListPartsResult> {
  await using stack = new AsyncDisposableStack();
  const { cluster, listen } = options;
  const member = await createGuest({ cluster, listen, events });
  const { host, commands, membership } = member;
  const catalog = new CatalogSync({
    commands,
    events,
    cluster,
    endpoint: () => ({ peer: host.peerId, addresses: [] }),
    listings: () => [],
  });
  await startMember(stack, member);
  await joinCluster(stack, {
    ...options,
    host,
    events,
    puncher: member.puncher,
    join: async (peer) => {
      await membership.join(peer);
      catalog.ask(peer);
    },
    lan: lanOf(membership, { isGuest: true }),
    signal,
  });
  const record = membership.published();
  const manifest = record?.manifest ?? membership.view()?.manifest;
  if (manifest === undefined) {
    throw new ShoalError(
      "SWARM_NOT_READY",
      "the cluster serves no model yet: publish one with `shoal seed`",
    );
  }
  const listed = (await catalog.listParts(manifest)).map((part) => ({
    name: part.name,
    root: part.root,
    sizeBytes: part.sizeBytes,
    copies: part.holders.filter(({ whole }) => whole).length,
    coming: part.holders.filter(({ whole }) => !whole).length,
    spare: part.holders.filter(({ whole, spare }) => whole && spare).length,
  }));
  const folder = await mkdtemp(join(tmpdir(), "shoal-parts-"));
  stack.defer(() => removeTree(folder));
  const holders = [...membership.announcements(), ...bootstrapsOf(host)];
  const known = await fetchParts(commands, manifest, holders, folder)
    // A seeder announces nothing: it is known by what it provides.
    .catch(async () => {
      const providers = await providersOf(host.dht, listed);
      return await fetchParts(commands, manifest, providers, folder);
    })
    .catch(() => undefined);
  const byRoot = new Map(listed.map((part) => [part.root, part]));
  return {
    manifest,
    model: record?.model ?? known?.manifest.name ?? "?",
    target: record?.replication ?? CLUSTER_RECORD_DEFAULTS.replication,
    parts:
      known?.manifest.parts.map(
        ({ id, root, sizeBytes }) =>
          byRoot.get(toRoot(root)) ?? {
            name: `${id} of ${known.manifest.name}`,
            root: toRoot(root),
            sizeBytes,
            copies: 0,
            coming: 0,
            spare: 0,
          },
      ) ?? listed.toSorted((a, b) => a.name.localeCompare(b.name)),
    isComplete: known !== undefined,
  };
}

/** Members that have some part, by the DHT. */
async function providersOf(
  dht: Pick<Dht, "findProviders">,
  listed: readonly PartCopies[],
): Promise<{ peer: string; addresses: string[] }[]> {
  const [part] = listed;
  if (part === undefined) return [];
  const root = Buffer.from(part.root, "hex");
  const { providers } = await dht.findProviders(root, {
    limit: PROVIDERS_ASKED,
    timeoutMs: FIND_MS,
  });
  return providers
    .slice(0, PROVIDERS_ASKED)
    .map(({ peer, addresses }) => ({ peer, addresses: [...addresses] }));
}

/** The bootstrap may be a member that holds the model. */
function bootstrapsOf(host: {
  connections(): { peer: string }[];
}): { peer: string; addresses: string[] }[] {
  return host.connections().map(({ peer }) => ({ peer, addresses: [] }));
}
