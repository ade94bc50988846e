/** Who is in the cluster, which shard is missing, and who is downloading it: by a bootstrap's records. */
import {
  askPage,
  type ClusterRecord,
  isOff,
  side,
  SWARM_STATUS,
  unsealClusterRecord,
} from "../cluster/index.ts";
import { describeAddress } from "../network/index.ts";
import type { ClusterStatus } from "../status/index.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";
import type { Check, Examination } from "./examination.ts";
import { note, ok, problem, skipped, type Finding } from "./finding.ts";

type Member = ClusterStatus["members"][number];

export const checkCluster: Check = async (examination) => {
  const { cluster } = examination.options;
  if (cluster === undefined)
    return [skipped("cluster", "no cluster was given: use --cluster")];
  const asked = await ask(examination, cluster);
  if ("finding" in asked) return [asked.finding];
  const { status, published } = asked;
  examination.status = status;
  const refused = status.ready ? [] : refusedOf(status);
  const strays = straysOf(status, published);
  if (status.members.length === 0 && refused.length > 0) return refused;
  if (status.members.length === 0)
    return [
      problem(
        "cluster",
        "CLUSTER_EMPTY",
        status.model === null
          ? `no node is in cluster ${cluster}`
          : `no node in cluster ${cluster} holds a shard of ${status.model}`,
        { cluster },
      ),
    ];
  const peers = new Set(status.members.map(({ peer }) => peer)).size;
  return [
    ok(
      "cluster",
      `cluster ${cluster}: ${status.model ?? "?"}, ${peers} ${peers === 1 ? "node" : "nodes"}`,
    ),
    ...strays,
    ...twiceOf(status),
    ...(status.ready
      ? [ok("shards", `all ${status.shardCount ?? "?"} shards are loaded`)]
      : [...refused, ...missingOf(status)]),
    ...busyOf(status),
    ...clocksOf(status),
  ];
};

/** The first bootstrap that knows the cluster. */
async function ask(
  { reached, commands, options, signal }: Examination,
  cluster: string,
): Promise<
  | { status: ClusterStatus; published: ClusterRecord | undefined }
  | { finding: Finding }
> {
  let finding = skipped("cluster", "no bootstrap could be asked");
  for (const { peer, target, speaks } of reached) {
    if (!speaks) continue;
    const at = { ...target.target, peerId: peer };
    const wait = { timeoutMs: options.timeoutMs, signal };
    try {
      const status = await commands.call(
        at,
        SWARM_STATUS.name,
        { cluster },
        SWARM_STATUS.result,
        wait,
      );
      const { record } = await askPage(
        commands,
        at,
        { cluster, subscribe: false, offset: 0 },
        wait,
      );
      const published =
        record === null ? undefined : await unsealClusterRecord(record);
      return { status, published };
    } catch (error) {
      signal.throwIfAborted();
      finding = isShoalError(error, "CLUSTER_UNKNOWN")
        ? problem(
            "cluster",
            "CLUSTER_UNKNOWN",
            `${target.place} does not know cluster ${cluster}`,
            { cluster },
          )
        : skipped(
            "cluster",
            `${target.place} did not answer: ${ShoalError.from(error).message}`,
          );
    }
  }
  return { finding };
}

/** Members whose model differs from the cluster's record: a fault if it stops prompts or runs them on the wrong model. */
function straysOf(
  { members, manifest, ready }: ClusterStatus,
  published: ClusterRecord | undefined,
): Finding[] {
  if (published === undefined) return [];
  const strays = members.filter((m) => m.manifest !== published.manifest);
  const [stray] = strays;
  if (stray === undefined) return [];
  const text = `${strays.length === 1 ? `${nameOf(stray)} holds` : `${strays.length} nodes hold`} another model than ${published.model}, which the cluster serves`;
  return ready && manifest === published.manifest
    ? [note("shards", text)]
    : [
        problem("shards", "MEMBER_MODEL", text, {
          peers: strays.slice(0, 16).map(({ peer }) => peer),
        }),
      ];
}

/** Refused announcements explain a missing shard. */
function refusedOf({ refused }: ClusterStatus): Finding[] {
  const findings: Finding[] = [];
  const { version = 0, mismatch = 0 } = refused;
  if (version > 0)
    findings.push(
      problem(
        "shards",
        "MEMBER_VERSION",
        `${times(version)} a node of another protocol version was refused`,
        { refused: version },
      ),
    );
  if (mismatch > 0)
    findings.push(
      problem(
        "shards",
        "MEMBER_MODEL",
        `${times(mismatch)} a node was refused because it holds another model or a shard of another plan`,
        { refused: mismatch },
      ),
    );
  return findings;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}

function missingOf(status: ClusterStatus): Finding[] {
  const { cluster, missing, shardCount } = status;
  if (missing.length === 0)
    return [
      problem(
        "shards",
        "PLANS_DIFFER",
        "every shard has a holder, but their layers do not fit together",
        { cluster },
      ),
    ];
  return missing.map((shard) =>
    missingShard(status, shard, `shard ${shard} of ${shardCount ?? "?"}`),
  );
}

function missingShard(
  { cluster, members, shards }: ClusterStatus,
  shard: number,
  name: string,
): Finding {
  const holders = members.filter((member) => member.shard === shard);
  const by = (state: Member["state"]): Member | undefined =>
    holders
      .filter((holder) => holder.state === state)
      .toSorted((a, b) => partOf(b) - partOf(a))[0];
  const facts = { shard, cluster };
  const loading = by("loading");
  if (loading !== undefined)
    return problem(
      "shards",
      "SHARD_LOADING",
      `${name} is being loaded by ${nameOf(loading)}`,
      { ...facts, peer: loading.peer },
    );
  const fetching = by("downloading");
  if (fetching !== undefined) {
    const percent = Math.floor(100 * partOf(fetching));
    return problem(
      "shards",
      "SHARD_DOWNLOADING",
      `${name} is being downloaded by ${nameOf(fetching)}, ${fetching.progress === null ? "how far is not known" : `${percent} %`}`,
      {
        ...facts,
        peer: fetching.peer,
        percent: fetching.progress === null ? undefined : percent,
        fetching: holders
          .filter(({ state }) => state === "downloading")
          .map(({ peer }) => peer),
      },
    );
  }
  const joining = by("joining");
  if (joining !== undefined)
    return problem(
      "shards",
      "SHARD_LOADING",
      `${name} has only ${nameOf(joining)}, which is still joining`,
      { ...facts, peer: joining.peer },
    );
  const leaving = by("draining");
  if (leaving !== undefined)
    return problem(
      "shards",
      "SHARD_LEAVING",
      `${name} has only ${nameOf(leaving)}, which is shutting down`,
      { ...facts, peer: leaving.peer },
    );
  const range = shards.find(({ index }) => index === shard);
  const layers =
    range !== undefined && range.layerEnd > range.layerStart
      ? ` (layers ${range.layerStart}-${range.layerEnd - 1})`
      : "";
  return problem(
    "shards",
    "SHARD_MISSING",
    `${name}${layers} is missing: nobody has it and nobody is downloading it`,
    facts,
  );
}

/** Members whose identity another process has, too: it stops by itself, but may be started again and again. */
function twiceOf({ members }: ClusterStatus): Finding[] {
  const twice = members.filter(({ rivalAddresses }) => rivalAddresses !== null);
  return [...new Map(twice.map((m) => [m.peer, m])).values()].map((one) => {
    const places = [one.addresses, one.rivalAddresses ?? []].map(([first]) =>
      first === undefined ? "?" : describeAddress(first),
    );
    return problem(
      "identity",
      "IDENTITY_TWICE",
      `two processes have the identity of ${nameOf(one)}: at ${places.join(" and at ")}`,
      { peer: one.peer },
    );
  });
}

/** Members whose clock differs from that of the process that was asked; if it is that of most, the clock of that one is off. */
function clocksOf({ members }: ClusterStatus): Finding[] {
  const clocks = [
    ...new Map(members.map((m) => [m.peer, m.clockAheadMs])),
  ].flatMap(([peer, aheadMs]) => (aheadMs === null ? [] : { peer, aheadMs }));
  const off = clocks.filter(({ aheadMs }) => isOff(aheadMs));
  if (off.length > (clocks.length + 1) / 2) return [];
  return off.map(({ peer, aheadMs }) =>
    problem(
      "clock",
      "MEMBER_CLOCK",
      `the clock of ${nameOf({ peer })} is ${side(aheadMs)}`,
      { peer, aheadMs },
    ),
  );
}

/** If all loaded holders of a shard are full, all prompts wait. */
function busyOf({ cluster, members, ready }: ClusterStatus): Finding[] {
  if (!ready) return [];
  const loaded = Map.groupBy(
    members.filter(({ state }) => state === "ready"),
    ({ shard }) => shard,
  );
  const full = [...loaded].filter(([, holders]) =>
    holders.every(({ sessions: { active, max } }) => active >= max),
  );
  if (full.length > 0)
    return full.map(([shard, holders]) =>
      problem(
        "load",
        "CLUSTER_BUSY",
        `every session of shard ${shard} is taken (${holders.map(({ sessions }) => `${sessions.active}/${sessions.max}`).join(", ")}): prompts wait`,
        { shard, cluster },
      ),
    );
  const slowest = members
    .filter(({ msPerToken }) => msPerToken !== null)
    .toSorted((a, b) => (b.msPerToken ?? 0) - (a.msPerToken ?? 0))[0];
  if (slowest === undefined) return [];
  return [
    note(
      "load",
      `the slowest stage is shard ${slowest.shard} at ${nameOf(slowest)}: ${(slowest.msPerToken ?? 0).toFixed(1)} ms a token`,
    ),
  ];
}

function partOf({ progress }: Member): number {
  if (progress === null || progress.sizeBytes === 0) return 0;
  return progress.doneBytes / progress.sizeBytes;
}

function nameOf({ peer }: Pick<Member, "peer">): string {
  return `…${peer.slice(-8)}`;
}
