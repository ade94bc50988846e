/** The commands about a process itself: what it is, its state, and whether it accepts a shard. */
import {
  type Clock,
  isShoalError,
  ShoalError,
  systemClock,
} from "../lib/index.ts";
import { type Commands, PeerQuota } from "../network/index.ts";
import type { z } from "zod";
import { PROTOCOL } from "./announcement.ts";
import { limit, unknownCluster } from "./cluster-commands.ts";
import { GET_CAPABILITIES, GET_NODE_STATUS, LOAD_SHARD } from "./protocol.ts";
import { nodeStatusThatFits, type NodeStatus } from "../status/index.ts";

export interface NodeCommandsOptions {
  commands: Commands;
  role: NodeStatus["role"];
  version: string;
  /** The process' state now: plain data, no secret, no prompt, no full path. */
  status: () => NodeStatus;
  clock?: Clock;
}

/** A status is computed for each request and is large. */
const STATUS_RATE = { burst: 10, perSecond: 2 } as const;

/** Answers GET_CAPABILITIES and GET_NODE_STATUS. */
export function serveNodeCommands(options: NodeCommandsOptions): void {
  const { commands, role, version, status, clock = systemClock } = options;
  const rate = new PeerQuota(STATUS_RATE.burst, STATUS_RATE.perSecond, clock);
  commands.handle(GET_CAPABILITIES.name, GET_CAPABILITIES.params, () => ({
    version,
    protocol: PROTOCOL,
    role,
    nowMs: Math.floor(clock.now()),
    commands: commands.names(),
  }));
  commands.handle(
    GET_NODE_STATUS.name,
    GET_NODE_STATUS.params,
    (_, { peer }) => {
      limit(rate, peer);
      return nodeStatusThatFits(status());
    },
  );
}

export type LoadShardRequest = z.infer<typeof LOAD_SHARD.params>;

export interface LoadShardOptions {
  commands: Commands;
  cluster: string;
  /** Whether a peer holds a shard in the cluster. */
  isMember: (peer: string) => boolean;
  /** Resolves once the shard is accepted (not loaded); throws the reason otherwise. */
  onLoadShard: (request: LoadShardRequest, from: string) => Promise<void>;
  clock?: Clock;
}

/** Loading moves gigabytes: nobody has a reason to ask often. */
const LOAD_RATE = { burst: 5, perSecond: 0.1 } as const;

/** Answers LOAD_SHARD: only to members of the node's own cluster. */
export function serveLoadShard(options: LoadShardOptions): void {
  const { commands, cluster, isMember, onLoadShard } = options;
  const rate = new PeerQuota(
    LOAD_RATE.burst,
    LOAD_RATE.perSecond,
    options.clock ?? systemClock,
  );
  commands.handle(
    LOAD_SHARD.name,
    LOAD_SHARD.params,
    async (request, { peer }) => {
      if (request.cluster !== cluster) unknownCluster(request.cluster);
      if (!isMember(peer)) {
        throw new ShoalError(
          "COMMAND_UNAUTHORIZED",
          "only members of the cluster may do that",
          { cluster },
        );
      }
      limit(rate, peer);
      if (request.layerEnd <= request.layerStart) {
        throw new ShoalError(
          "COMMAND_MALFORMED",
          `layers ${request.layerStart} to ${request.layerEnd} are not a range`,
        );
      }
      try {
        await onLoadShard(request, peer);
        return { accepted: true, code: null, reason: null };
      } catch (error) {
        // A refusal is an answer; anything else is a failure.
        if (!isShoalError(error) || error.code === "INTERNAL") throw error;
        const reason = error.message.slice(0, 512);
        return { accepted: false, code: error.code, reason };
      }
    },
  );
}
