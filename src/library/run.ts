/** How the library runs a role in the process of the program that uses it. */
import { z } from "zod";
import {
  Events,
  reasonOf,
  resolvePaths,
  ShoalError,
  type ShoalEvent,
} from "../lib/index.ts";
import type { Role, RoleContext, RoleInfo } from "../roles/index.ts";
import { callback, check, signal, text } from "./check.ts";
import { surviveStreamErrors } from "./stream-errors.ts";

/** What surrounds whatever is started. */
export interface StartContext {
  /** Hears what happens, each event after it is a fact: what `shoal` logs. */
  onEvent?: ((event: ShoalEvent) => void) | undefined;
  /**
   * The folder for keys, records and models. Default, as for the command line: the XDG directories, on Windows the application data. Of two
   * roles of one kind each needs its own.
   */
  home?: string | undefined;
  /** Aborts the start. What has started is ended by `stop`. */
  signal?: AbortSignal | undefined;
}

/** A role that runs in this process. */
export interface RunningRole extends Readonly<RoleInfo>, AsyncDisposable {
  /**
   * A node finishes its running sessions, for up to 30 s, and accepts no new ones; a gateway its running requests, each until its own
   * deadline. The other roles have nothing to finish. Comes before `stop`.
   */
  drain(): Promise<void>;
  /** Says goodbye to the cluster and frees everything. May be called twice. */
  stop(): Promise<void>;
  /** Resolves with the reason if the role has stopped by itself: IDENTITY_IN_USE, because another process has its key and runs longer. */
  readonly failed: Promise<Error>;
}

const contextSchema = z.strictObject({
  onEvent: callback<(event: ShoalEvent) => void>().optional(),
  home: text("a folder").optional(),
  signal: signal.optional(),
});

/**
 * Runs `start` with what the roles want of their surroundings. `ended` is called once it has failed; who starts something that goes on
 * calls it when that has ended.
 */
export async function inContext<T>(
  what: string,
  context: StartContext,
  start: (context: RoleContext) => Promise<T>,
): Promise<{ value: T; ended: () => void }> {
  const given = check(what, contextSchema, context);
  const events = new Events();
  if (given.onEvent !== undefined) events.subscribe(outside(given.onEvent));
  const ended = surviveStreamErrors(events);
  // The roles take a signal of their whole life; a program means the start.
  const starting = new AbortController();
  const abort = (): void => {
    if (given.signal !== undefined) starting.abort(reasonOf(given.signal));
  };
  given.signal?.addEventListener("abort", abort);
  if (given.signal?.aborted === true) abort();
  try {
    starting.signal.throwIfAborted();
    const paths = resolvePaths(given.home);
    return {
      value: await start({ events, paths, signal: starting.signal }),
      ended,
    };
  } catch (error) {
    ended();
    throw ShoalError.from(error);
  } finally {
    given.signal?.removeEventListener("abort", abort);
  }
}

/** What has its end within the call. */
export async function once<T>(
  what: string,
  context: StartContext,
  work: (context: RoleContext) => Promise<T>,
): Promise<T> {
  const { value, ended } = await inContext(what, context, work);
  ended();
  return value;
}

/** A role, as the library hands it out. */
export async function running(
  what: string,
  context: StartContext,
  start: (context: RoleContext) => Promise<Role>,
): Promise<RunningRole> {
  const { value, ended } = await inContext(what, context, start);
  return handleOf(value, ended);
}

export function handleOf(role: Role, ended: () => void): RunningRole {
  const stop = async (): Promise<void> => {
    await role.stop();
    ended();
  };
  const failed = role.failed.then(async (error) => {
    await stop();
    return error;
  });
  return {
    ...role.info,
    failed,
    drain: () => role.drain(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** What a program's own function throws is that program's uncaught error, and does not end what told of the event. */
function outside(
  onEvent: (event: ShoalEvent) => void,
): (event: ShoalEvent) => void {
  return (event) => {
    try {
      onEvent(event);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  };
}
