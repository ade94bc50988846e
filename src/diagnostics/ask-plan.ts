/** Asks a cluster's nodes where its model is cut and where it should be: any of them that holds a shard by the cluster's plan knows. */
import { SWARM_STATUS } from "../cluster/index.ts";
import { deadline, isShoalError, ShoalError, VERSION } from "../lib/index.ts";
import { Commands, createHost } from "../network/index.ts";
import type { PlanStatus } from "../status/index.ts";
import {
  type AskMembersOptions,
  nodeStatusOf,
  reach,
  type Wait,
  worstOf,
} from "./ask-members.ts";

/** Nodes that are asked: one whose operator named its shard may not look. */
const NODES_ASKED = 8;

/** Throws what askMembers does, and SWARM_NOT_READY where no node knows. */
export async function askPlan(options: AskMembersOptions): Promise<PlanStatus> {
  const { targets, cluster, events, timeoutMs } = options;
  await using stack = new AsyncDisposableStack();
  const { signal, clear } = deadline(
    timeoutMs,
    "asking for the plan",
    options.signal,
  );
  stack.defer(clear);
  const host = await createHost({ listen: [], events, version: VERSION });
  const commands = new Commands(host);
  await host.start();
  stack.defer(() => host.stop());
  const wait = { timeoutMs, signal };
  try {
    return await Promise.any(
      targets.map(async (target) =>
        planBy(commands, await reach(host, target, wait), cluster, wait),
      ),
    );
  } catch (error) {
    options.signal.throwIfAborted();
    throw worstOf(error);
  }
}

async function planBy(
  commands: Commands,
  peer: string,
  cluster: string,
  wait: Wait,
): Promise<PlanStatus> {
  const own = await nodeStatusOf(commands, peer, wait);
  if (own?.plan?.cluster === cluster) return own.plan;
  const { members } = await commands.call(
    peer,
    SWARM_STATUS.name,
    { cluster },
    SWARM_STATUS.result,
    wait,
  );
  const nodes = new Map(
    members
      .filter(({ state }) => state === "ready")
      .map((member) => [member.peer, member.addresses]),
  );
  for (const [peerId, addresses] of [...nodes].slice(0, NODES_ASKED)) {
    try {
      const at = { peerId, addresses };
      const node = await nodeStatusOf(commands, at, wait);
      if (node?.plan?.cluster === cluster) return node.plan;
    } catch (error) {
      wait.signal.throwIfAborted();
      if (!isShoalError(error)) throw error; // the next one may answer
    }
  }
  throw new ShoalError(
    "SWARM_NOT_READY",
    nodes.size === 0
      ? `no node of cluster ${cluster} is ready`
      : `no node of cluster ${cluster} looks for a better cut: their operators named their shards`,
    { cluster, asked: Math.min(nodes.size, NODES_ASKED) },
  );
}
