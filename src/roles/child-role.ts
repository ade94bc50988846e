/**
 * A role in a process of its own. The child tells its parent over IPC what became fact (`RoleMessage`); the parent names it when
 * it dies. A child whose parent is gone stops by itself (cli/run-role.ts).
 */
import { type ChildProcess, fork } from "node:child_process";
import {
  type ErrorObject,
  ShoalError,
  type ShoalEvent,
  sleep,
  withDeadline,
} from "../lib/index.ts";
import type { RoleInfo } from "./role.ts";

/** What a role's process tells the one that started it. */
export type RoleMessage =
  | { type: "ready"; info: RoleInfo }
  | { type: "swarm"; ready: boolean }
  | { type: "event"; event: ShoalEvent }
  | { type: "failed"; error: ErrorObject };

/** What the one that started it tells it: to stop as at SIGTERM. */
export type RoleOrder = "stop";

/** Last lines of a child's stderr kept to tell why it died. */
const LOG_LINES_KEPT = 5;

export interface ChildRoleOptions {
  name: string;
  /** The program, and what it is to be. */
  entry: string;
  args: readonly string[];
  onEvent?: ((event: ShoalEvent) => void) | undefined;
  onSwarm?: ((ready: boolean) => void) | undefined;
}

export class ChildRole {
  readonly name: string;
  /** Resolves with why it ended, once it has. Never rejects. */
  readonly exited: Promise<ShoalError>;
  readonly ready: Promise<RoleInfo>;
  #child: ChildProcess;
  #stopping = false;

  constructor(options: ChildRoleOptions) {
    this.name = options.name;
    const env = Object.fromEntries(
      Object.entries(process.env).filter(
        ([key]) => !key.startsWith("SHOAL_") || key === "SHOAL_ENGINES",
      ),
    );
    // A group of its own: Ctrl-C reaches the parent alone, which stops its children in order.
    const child = fork(options.entry, options.args, {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      env,
      detached: true,
      windowsHide: true,
    });
    this.#child = child;
    let log: string[] = [];
    let failure: ShoalError | undefined;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      log = [
        ...log,
        ...text.split("\n").filter((line) => line.trim() !== ""),
      ].slice(-LOG_LINES_KEPT);
    });
    const { promise, resolve, reject } = Promise.withResolvers<RoleInfo>();
    this.ready = promise;
    promise.catch(() => {}); // `exited` tells it too
    child.on("message", (message: RoleMessage) => {
      if (message.type === "ready") resolve(message.info);
      else if (message.type === "swarm") options.onSwarm?.(message.ready);
      else if (message.type === "event") options.onEvent?.(message.event);
      else failure = ShoalError.fromObject(message.error);
    });
    this.exited = new Promise((done) => {
      const end = (error: ShoalError): void => {
        reject(error);
        done(error);
      };
      child.on("error", (error) =>
        end(
          new ShoalError(
            "PROCESS_DIED",
            `${this.name} could not start: ${error.message}`,
            {},
            error,
          ),
        ),
      );
      child.on("close", (code, signal) => {
        const how = signal === null ? `exit status ${code}` : signal;
        const why = failure?.message ?? log.at(-1);
        const error = new ShoalError(
          failure?.code ?? "PROCESS_DIED",
          `${this.name} died (${how})${why === undefined ? "" : `: ${why}`}`,
          {
            process: this.name,
            pid: child.pid,
          },
        );
        end(error);
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** False once it was told to stop: its end is then no news. */
  get wanted(): boolean {
    return !this.#stopping;
  }

  /** Waits for the role's own word. Rejects with what it died of, or DEADLINE. */
  async whenReady(timeoutMs: number, signal: AbortSignal): Promise<RoleInfo> {
    return await withDeadline(
      timeoutMs,
      `${this.name} starting`,
      () => this.ready,
      { signal },
    );
  }

  /** Asks it to stop, and kills it after `graceMs`. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    // Not by SIGTERM, which kills on Windows. One without a channel stops anyway.
    const order: RoleOrder = "stop";
    if (this.#child.connected) this.#child.send(order, () => {});
    const forced = new AbortController();
    const kill = sleep(graceMs, forced.signal).then(
      () => this.#child.kill("SIGKILL"),
      () => false,
    );
    await this.exited;
    forced.abort();
    await kill;
  }
}
