/**
 * Runs a role until it is told to stop: by SIGINT or SIGTERM, or by the end of the process that started it. Prints its log, and
 * tells a parent over IPC what became fact (roles/child-role.ts).
 */
import { flushCompileCache } from "node:module";
import type { Command } from "commander";
import { isRemote } from "../hub/index.ts";
import {
  Events,
  logReader,
  movesCursor,
  settledWithin,
  ShoalError,
  showsColors,
} from "../lib/index.ts";
import type {
  Role,
  RoleContext,
  RoleMessage,
  RoleOrder,
} from "../roles/index.ts";
import { type Common, common, quiet } from "./options.ts";
import { lineWriter, outliveOutput, tell as tellError } from "./output.ts";
import { ProgressBars } from "./progress.ts";
import { boundHeap } from "./heap.ts";

/** What is left after draining takes no longer than this, or is cut off: Ctrl-C on an idle role ends it within 5 s. */
const STOP_DEADLINE_MS = 3_500;
/** A parent that says "stop" kills soon after (roles/local-swarm.ts): what still runs is told before, and an orphan ends. */
const DRAIN_FOR_PARENT_MS = 1_500;

export async function runRole(
  options: Common,
  start: (
    context: RoleContext,
    tell: (message: RoleMessage) => void,
  ) => Promise<Role>,
): Promise<void> {
  boundHeap();
  const events = newEvents(options);
  outliveOutput(({ message }) => {
    tellError(`shoal: ${message}; going on without a log`);
  });
  if (process.send !== undefined)
    events.subscribe((event) => tell({ type: "event", event }));
  const stopping = stopSignal();
  let role: Role;
  try {
    role = await start(
      { events, paths: options.paths, signal: stopping },
      tell,
    );
  } catch (error) {
    if (stopping.aborted) return disconnect();
    throw failed(error);
  }
  // Otherwise at its end: later than the next process starts, and never if it is killed.
  flushCompileCache();
  tell({ type: "ready", info: role.info });
  const failure = await Promise.race([untilAborted(stopping), role.failed]);
  if (failure !== undefined) {
    const { code, message } = failure;
    events.error("PROCESS", `stopping: ${message}`, { code });
  } else {
    events.info(
      "PROCESS",
      "draining: finishing running sessions, accepting no new ones",
    );
    await drained(role, stopping);
  }
  const late = setTimeout(() => {
    events.error(
      "PROCESS",
      `did not stop within ${STOP_DEADLINE_MS} ms: exiting now`,
    );
    process.exit(75);
  }, STOP_DEADLINE_MS);
  await role.stop();
  events.info("PROCESS", "stopped");
  clearTimeout(late);
  if (failure !== undefined) throw failed(failure);
  process.exit(0); // libp2p leaves sockets and timers that hold the loop for seconds
}

async function untilAborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return undefined;
  await new Promise((resolve) =>
    signal.addEventListener("abort", resolve, { once: true }),
  );
  return undefined;
}

/** A parent hears it, too. */
function failed(error: unknown): unknown {
  tell({ type: "failed", error: ShoalError.from(error).toObject() });
  disconnect();
  return error;
}

/** A parent that is gone has ended the channel already. */
function disconnect(): void {
  if (process.connected) process.disconnect();
}

/** Told by a signal, a role takes its own time; a second signal ends it at once. */
async function drained(role: Role, stopping: AbortSignal): Promise<void> {
  const { details } = ShoalError.from(stopping.reason);
  if (details.byParent !== true) return await role.drain();
  await settledWithin(DRAIN_FOR_PARENT_MS, role.drain());
}

/** To the process that started this one, if there is one. */
function tell(message: RoleMessage): void {
  if (process.connected)
    process.send?.(message, undefined, undefined, () => {});
}

/** Whether progress is shown as bars; else it is told in lines. */
export function showsBars(
  options: Pick<Common, "log">,
  stream: NodeJS.WriteStream,
): boolean {
  return options.log === "text" && movesCursor(stream);
}

/** The log of a command that works with a model file: where one has to be fetched it says more. */
export function newModelEvents(command: Command, model: string): Events {
  const options = isRemote(model) ? common(command) : quiet(command, "warn");
  return newEvents(options, process.stderr);
}

export function newEvents(
  options: Pick<Common, "log" | "logLevel" | "ascii">,
  stream: NodeJS.WriteStream = process.stdout,
): Events {
  const events = new Events();
  const bars = showsBars(options, stream)
    ? new ProgressBars(stream, { ascii: options.ascii })
    : undefined;
  const write = lineWriter(stream, (lines) => {
    events.warn("PROCESS", "the log was not read: lines are missing", {
      lines,
    });
  });
  const log = logReader({
    format: options.log,
    level: options.logLevel,
    write: bars === undefined ? write : (line) => bars.write(line),
    ascii: options.ascii,
    color: showsColors(stream),
    width: stream.isTTY ? () => stream.columns : undefined,
  });
  events.subscribe((event) => {
    if (bars?.take(event) !== true) log(event);
  });
  // The cursor comes back.
  if (bars !== undefined) process.once("exit", () => bars.stop());
  process.on("uncaughtException", (error) => {
    // js-libp2p raises some from streams that are closing (issues 3415, 3512): they end that stream, not the node.
    events.error("PROCESS", `uncaught error: ${error.message}`, {
      stack: error.stack,
    });
  });
  process.on("unhandledRejection", (reason) => {
    events.error(
      "PROCESS",
      `unhandled rejection: ${reason instanceof Error ? reason.message : String(reason)}`,
    );
  });
  return events;
}

/** Aborts at the first SIGINT, SIGTERM, SIGHUP (the terminal is closed), or word or loss of the parent. A second Ctrl-C ends it at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (byParent: boolean): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new ShoalError("ABORTED", "stopped", { byParent }));
  };
  process.on("SIGINT", () => stop(false));
  process.on("SIGTERM", () => stop(false));
  process.on("message", (order: RoleOrder) => {
    if (order === "stop") stop(true);
  });
  // A shell may repeat what the terminal has sent already.
  for (const lost of ["SIGHUP", "disconnect"])
    process.on(lost, () => {
      if (!controller.signal.aborted) stop(lost === "disconnect");
    });
  return controller.signal;
}
