/** What can happen to a stage of a running session. Each fault is mended afterwards, so that the next one finds a whole cluster. */
import assert from "node:assert/strict";
import { childrenOf } from "./halted.ts";
import type { TestNetwork } from "./namespaces.ts";
import type { Holder, Replicas } from "./replicas.ts";

export interface Victim {
  /** Peers of the session's stages, first to last. */
  route: readonly string[];
  /** Of the stage that is lost. */
  index: number;
}

export interface Fault {
  /** It needs machines of their own. */
  isCut?: boolean;
  /** The stage goes on, so replies may not notice. */
  isQuiet?: boolean;
  /** Returns what mends it. */
  strike: (replicas: Replicas, victim: Victim) => Promise<() => Promise<void>>;
}

const LOADED_AGAIN = "the engine is loaded again";

export const FAULTS = {
  "its node is killed": {
    strike: async (replicas, victim) => {
      const holder = holderOf(replicas, victim);
      await holder.member.kill();
      return () => replicas.restart(holder);
    },
  },
  "its engine is killed": {
    strike: async (replicas, victim) => {
      const { member } = holderOf(replicas, victim);
      const from = member.mark();
      process.kill(engineOf(member.pid), "SIGKILL");
      return async () =>
        void (await member.when(
          ({ message }) => message === LOADED_AGAIN,
          LOADED_AGAIN,
          from,
        ));
    },
  },
  // Its engine goes on, and so does the ring, until somebody misses the node.
  "its node hangs": {
    isQuiet: true,
    strike: async (replicas, victim) => {
      const { pid } = holderOf(replicas, victim).member;
      return stopped([pid]);
    },
  },
  "its machine hangs": {
    strike: async (replicas, victim) => {
      const { pid } = holderOf(replicas, victim).member;
      return stopped([pid, engineOf(pid)]);
    },
  },
  "its engine hangs": {
    strike: async (replicas, victim) => {
      const { pid } = holderOf(replicas, victim).member;
      return stopped([engineOf(pid)]);
    },
  },
  "its node drains": {
    isQuiet: true,
    strike: async (replicas, victim) => {
      const holder = holderOf(replicas, victim);
      const ended = holder.member.stop();
      ended.catch(() => {}); // whoever mends it hears of it
      return async () => {
        await ended;
        await replicas.restart(holder);
      };
    },
  },
  "its machine is cut off": {
    isCut: true,
    strike: async (replicas, victim) => {
      const holder = holderOf(replicas, victim);
      const others = replicas.placesBut(holder);
      return cut(holder, () =>
        networkOf(replicas).cut([holder.place!], others),
      );
    },
  },
  "nobody hears its machine": {
    isCut: true,
    strike: async (replicas, victim) => {
      const holder = holderOf(replicas, victim);
      const others = replicas.placesBut(holder);
      return cut(holder, () =>
        networkOf(replicas).drop([holder.place!], others),
      );
    },
  },
  "the next stage does not hear it": {
    isCut: true,
    strike: async (replicas, victim) => {
      const { route, index } = victim;
      const next = replicas.holder(route[(index + 1) % route.length]!);
      const holder = holderOf(replicas, victim);
      return cut(holder, () =>
        networkOf(replicas).drop([holder.place!], [next.place!]),
      );
    },
  },
} satisfies Record<string, Fault> as Record<FaultName, Fault>;

export type FaultName =
  | "its node is killed"
  | "its engine is killed"
  | "its node hangs"
  | "its machine hangs"
  | "its engine hangs"
  | "its node drains"
  | "its machine is cut off"
  | "nobody hears its machine"
  | "the next stage does not hear it";

/** A node's only child. */
export function engineOf(pid: number): number {
  const [engine, ...others] = childrenOf(pid);
  assert.ok(engine !== undefined, `${pid} has no child`);
  assert.deepEqual(others, [], `${pid} has more children`);
  return engine;
}

/** Stops processes; they go on when it is mended. */
function stopped(pids: readonly number[]): () => Promise<void> {
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  return async () => {
    for (const pid of pids.toReversed())
      try {
        process.kill(pid, "SIGCONT");
      } catch (error) {
        // A node that hears nothing of its engine replaces it.
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
  };
}

function holderOf(replicas: Replicas, { route, index }: Victim): Holder {
  return replicas.holder(route[index]!);
}

function networkOf({ options: { network } }: Replicas): TestNetwork {
  if (network === undefined) throw new Error("no network that can be cut");
  return network;
}

/** The engine stands still while the network is cut, which takes as long as several tokens. */
function cut({ member }: Holder, sever: () => () => void): () => Promise<void> {
  const engine = engineOf(member.pid);
  process.kill(engine, "SIGSTOP");
  try {
    const heal = sever();
    return async () => heal();
  } finally {
    process.kill(engine, "SIGCONT");
  }
}
