/** A role as a separate process, watched over IPC; killed or stopped with the test. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type ShoalEvent, withDeadline } from "../../src/lib/index.ts";
import type { RoleMessage } from "../../src/roles/index.ts";
import type { RoleInfo } from "../../src/roles/role.ts";
import { removeFolder } from "./folder.ts";
import { assertBuilt, ENTRY } from "./swarm.ts";

const SHIFTED_CLOCK = join(import.meta.dirname, "shifted-clock.ts");

/** The machine may be busy: a test waits for an event; this only ends a hang. */
export const MEMBER_PATIENCE_MS = 120_000;

export interface MemberOptions {
  env?: Record<string, string>;
  execArgv?: string[];
  /** In place of node itself: what starts it, by `execArgv`. */
  execPath?: string;
}

/** Of a process whose machine's clock is so far ahead. */
export function clockAhead(byMs: number): { env: Record<string, string> } {
  return {
    env: {
      NODE_OPTIONS: `--import ${pathToFileURL(SHIFTED_CLOCK).href}`,
      TEST_CLOCK_BY_MS: `${byMs}`,
    },
  };
}

/** The members of one test, with their homes in a folder of its own: killed after it, and then the folder goes. */
export class Members {
  readonly home: string;
  readonly #all: Member[] = [];

  private constructor(home: string) {
    this.home = home;
  }

  static async of(t: {
    after: (undo: () => Promise<void>) => void;
  }): Promise<Members> {
    const home = await mkdtemp(join(tmpdir(), "shoal-test-"));
    const members = new Members(home);
    t.after(async () => {
      await Promise.all(members.#all.map((member) => member.kill()));
      await removeFolder(home);
    });
    return members;
  }

  start(
    name: string,
    args: readonly string[],
    options: MemberOptions = {},
  ): Member {
    const member = new Member(name, args, options);
    this.#all.push(member);
    return member;
  }

  /** One for the members to meet at. */
  async rendezvous(
    extra: readonly string[] = [],
    name = "rendezvous",
  ): Promise<RoleInfo> {
    return await this.startRendezvous(extra, name).whenReady();
  }

  startRendezvous(
    extra: readonly string[] = [],
    name = "rendezvous",
    options: MemberOptions = {},
  ): Member {
    const args = [
      "rendezvous",
      ...(extra.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"]),
      "--diagnostics-host",
      "127.0.0.1",
      "--diagnostics-port",
      "0",
      "--home",
      join(this.home, name),
      ...extra,
    ];
    return this.start(name, args, options);
  }

  /** How `name` comes into the cluster. */
  at({ addresses }: RoleInfo, name: string): string[] {
    return [
      "--bootstrap",
      addresses.join(","),
      "--cluster",
      "c",
      "--listen",
      "127.0.0.1:0",
      "--home",
      join(this.home, name),
    ];
  }
}

export class Member {
  readonly name: string;
  readonly seen: ShoalEvent[] = [];
  readonly ready: Promise<RoleInfo>;
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #watchers = new Set<(event: ShoalEvent) => void>();

  constructor(
    name: string,
    args: readonly string[],
    { env = {}, ...how }: MemberOptions = {},
  ) {
    assertBuilt();
    this.name = name;
    const inherited = Object.entries(process.env).filter(
      ([key]) => !key.startsWith("SHOAL_"),
    );
    this.#child = fork(ENTRY, [...args], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: { ...Object.fromEntries(inherited), ...env },
      execArgv: [],
      ...how,
    });
    const ready = Promise.withResolvers<RoleInfo>();
    this.ready = ready.promise;
    this.ready.catch(() => {});
    this.#child.on("message", (message: RoleMessage) => {
      if (message.type === "ready") ready.resolve(message.info);
      if (message.type === "failed")
        ready.reject(new Error(`${name}: ${message.error.message}`));
      if (message.type === "event") this.#onEvent(message.event);
    });
    this.exited = once(this.#child, "exit").then(([code]) => {
      ready.reject(new Error(`${name} ended with ${code}`));
      return code as number | null;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  whenReady(): Promise<RoleInfo> {
    return this.#within(this.ready, "ready");
  }

  /** The first event, seen or yet to come, that matches; `from` (an index into `seen`) leaves out what was before. */
  async when(
    matches: (event: ShoalEvent) => boolean,
    what: string,
    from = 0,
  ): Promise<ShoalEvent> {
    const seen = this.seen.slice(from).find(matches);
    if (seen !== undefined) return seen;
    const { promise, resolve } = Promise.withResolvers<ShoalEvent>();
    const watch = (event: ShoalEvent): void => {
      if (matches(event)) resolve(event);
    };
    this.#watchers.add(watch);
    try {
      return await this.#within(promise, what);
    } finally {
      this.#watchers.delete(watch);
    }
  }

  /** The swarm became ready, as this process sees it. */
  async swarmReady(from = 0): Promise<ShoalEvent> {
    return await this.when(
      (e) => e.tag === "SWARM" && e.message.startsWith("ready"),
      "the swarm to be ready",
      from,
    );
  }

  /** Where to start looking for what comes from now on. */
  mark(): number {
    return this.seen.length;
  }

  /** As if its operator set its machine's clock; it was started with `clockAhead`. */
  setClock(byMs: number): void {
    this.#child.send({ clockByMs: byMs });
  }

  /** kill -9. Twice without harm. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null)
      return;
    this.#child.kill("SIGKILL");
    await this.exited;
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#within(this.exited, "its end");
  }

  async #within<T>(promise: Promise<T>, what: string): Promise<T> {
    try {
      return await withDeadline(
        MEMBER_PATIENCE_MS,
        `${this.name}: ${what}`,
        () => promise,
      );
    } catch (error) {
      const last = this.seen
        .slice(-12)
        .map(({ tag, message }) => `[${tag}] ${message}`);
      throw new Error(`${String(error)}; it said:\n${last.join("\n")}`, {
        cause: error,
      });
    }
  }

  #onEvent(event: ShoalEvent): void {
    this.seen.push(event);
    for (const watch of this.#watchers) watch(event);
  }
}
