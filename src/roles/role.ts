/** What every role is made of and gives back. */
import type { Events, Paths, ShoalError } from "../lib/index.ts";

export interface RoleContext {
  events: Events;
  paths: Paths;
  /** Aborts a start that is under way. */
  signal: AbortSignal;
}

/** A running role. */
export interface Role {
  /** What a parent process (roles/local-swarm.ts) needs to know: addresses, URLs. */
  info: RoleInfo;
  /** Lets what runs come to its end, and takes nothing new; bounded by the role itself. Comes before `stop`. */
  drain(): Promise<void>;
  /** Says goodbye and frees everything. Twice without harm. */
  stop(): Promise<void>;
  /** Why it cannot go on, and has to be stopped; pending for as long as it can. */
  failed: Promise<ShoalError>;
}

export interface RoleInfo {
  peerId: string;
  addresses: string[];
  /** A gateway's API, or a rendezvous' status page. */
  url?: string;
  /** The page and its API, where the role shows itself. */
  diagnosticsUrl?: string;
}

/**
 * Runs `start`, which defers to the stack what undoes each of its steps. If it throws, what it had done is undone before the error
 * goes on; else `stop` undoes it, in reverse.
 */
export async function composed(
  start: (
    stack: AsyncDisposableStack,
  ) => Promise<RoleInfo & Partial<Pick<Role, "drain" | "failed">>>,
): Promise<Role> {
  await using stack = new AsyncDisposableStack();
  const {
    drain = async () => {},
    failed = new Promise<ShoalError>(() => {}),
    ...info
  } = await start(stack);
  const kept = stack.move();
  return { info, drain, failed, stop: () => kept.disposeAsync() };
}
