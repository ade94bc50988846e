/** Asks any member or rendezvous for its status and its cluster's, over the network. */
import { GET_NODE_STATUS, SWARM_STATUS } from "../cluster/index.ts";
import type { NodeStatus } from "../status/index.ts";
import {
  deadline,
  type EventSink,
  isShoalError,
  ShoalError,
  VERSION,
} from "../lib/index.ts";
import {
  Commands,
  createHost,
  type Host,
  parseTarget,
  type PeerTarget,
} from "../network/index.ts";
import type { AskedStatus } from "./ask-url.ts";

export interface AskMembersOptions {
  /** As people type them. All are asked at once; the first answer counts. */
  targets: readonly string[];
  cluster: string;
  events: EventSink;
  /** For the whole request. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** Throws BOOTSTRAP_UNREACHABLE if none can be reached, else the error of a reached one (CLUSTER_UNKNOWN …). */
export async function askMembers(
  options: AskMembersOptions,
): Promise<AskedStatus> {
  const { targets, cluster, events, timeoutMs } = options;
  await using stack = new AsyncDisposableStack();
  const { signal, clear } = deadline(
    timeoutMs,
    "asking for the status",
    options.signal,
  );
  stack.defer(clear);
  const host = await createHost({ listen: [], events, version: VERSION });
  const commands = new Commands(host);
  await host.start();
  stack.defer(() => host.stop());
  const wait = { timeoutMs, signal };
  const ask = async (target: string): Promise<AskedStatus> => {
    const peer = await reach(host, target, wait);
    const [node, swarm] = await Promise.all([
      nodeStatusOf(commands, peer, wait),
      commands.call(
        peer,
        SWARM_STATUS.name,
        { cluster },
        SWARM_STATUS.result,
        wait,
      ),
    ]);
    return { node, cluster: swarm };
  };
  try {
    return await Promise.any(targets.map(ask));
  } catch (error) {
    options.signal.throwIfAborted();
    throw worstOf(error);
  }
}

export interface Wait {
  timeoutMs: number;
  signal: AbortSignal;
}

/** Null if the peer does not report its own status. */
export async function nodeStatusOf(
  commands: Commands,
  peer: PeerTarget | string,
  wait: Wait,
): Promise<NodeStatus | null> {
  try {
    return await commands.call(
      peer,
      GET_NODE_STATUS.name,
      {},
      GET_NODE_STATUS.result,
      wait,
    );
  } catch (error) {
    if (isShoalError(error, "COMMAND_UNKNOWN", "COMMAND_UNAUTHORIZED"))
      return null;
    throw error;
  }
}

export async function reach(
  host: Host,
  target: string,
  wait: Wait,
): Promise<string> {
  try {
    return (await host.connect(parseTarget(target), wait)).peer;
  } catch (error) {
    const { message } = ShoalError.from(error);
    throw new ShoalError(
      "BOOTSTRAP_UNREACHABLE",
      `${target}: ${message}`,
      { bootstrap: target },
      error,
    );
  }
}

/** An answer, even an error, says more than unreachable peers. */
export function worstOf(error: unknown): ShoalError {
  const errors = (error instanceof AggregateError ? error.errors : [error]).map(
    (one) => ShoalError.from(one),
  );
  return (
    errors.find(({ code }) => code !== "BOOTSTRAP_UNREACHABLE") ??
    new ShoalError(
      "BOOTSTRAP_UNREACHABLE",
      errors.map(({ message }) => message).join("; "),
    )
  );
}
