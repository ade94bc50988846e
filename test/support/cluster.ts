/**
 * Clusters for tests whose processes are started, killed and started again one by one: each role is the real program, its events
 * come over IPC. Everything is stopped with the test.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ShoalError, ShoalEvent } from "../../src/lib/index.ts";
import { ChildRole } from "../../src/roles/child-role.ts";
import type { RoleInfo } from "../../src/roles/index.ts";
import { Random } from "./random.ts";
import { ENTRY } from "./swarm.ts";

/** Starting is CPU-bound, and many start at once. */
export const WAIT_MS = 120_000;

/** A process of the cluster, and all it said. */
export class Member {
  readonly name: string;
  readonly events: ShoalEvent[] = [];
  readonly child: ChildRole;
  #waiting = new Set<() => void>();

  constructor(name: string, args: readonly string[]) {
    this.name = name;
    this.child = new ChildRole({
      name,
      entry: ENTRY,
      args,
      onEvent: (event) => {
        this.events.push(event);
        for (const wake of this.#waiting) wake();
      },
    });
  }

  get pid(): number {
    return this.child.pid ?? Number.NaN;
  }

  async ready(): Promise<RoleInfo> {
    return await this.child.whenReady(WAIT_MS, new AbortController().signal);
  }

  /** The first event since `from` (an index into `events`) that fits; rejects if none comes in time, or the process ends. */
  async event(
    fits: (event: ShoalEvent) => boolean,
    what: string,
    from = 0,
    timeoutMs = WAIT_MS,
  ): Promise<ShoalEvent> {
    const { promise, resolve, reject } = Promise.withResolvers<ShoalEvent>();
    let seen = from;
    const look = (): void => {
      for (; seen < this.events.length; seen++) {
        const event = this.events[seen]!;
        if (fits(event)) resolve(event);
      }
    };
    const fail = (why: string): void =>
      reject(
        new Error(
          `${this.name}: ${what}: ${why}\n${this.events
            .slice(-12)
            .map((e) => `[${e.tag}] ${e.message} ${JSON.stringify(e.fields)}`)
            .join("\n")}`,
        ),
      );
    const timer = setTimeout(
      () => fail(`not within ${timeoutMs} ms`),
      timeoutMs,
    );
    void this.child.exited.then((error) => fail(error.message));
    this.#waiting.add(look);
    try {
      look();
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(look);
    }
  }

  /** The swarm became ready, as this process sees it. */
  async swarmReady(from = 0, timeoutMs = WAIT_MS): Promise<ShoalEvent> {
    return await this.event(
      (e) => e.tag === "SWARM" && e.message.startsWith("ready"),
      "the swarm to be ready",
      from,
      timeoutMs,
    );
  }

  /** Where to start looking for what comes from now on. */
  mark(): number {
    return this.events.length;
  }

  /** SIGKILL, and gone. */
  async kill(): Promise<ShoalError> {
    process.kill(this.pid, "SIGKILL");
    return await this.child.exited;
  }

  async stop(graceMs = 10_000): Promise<void> {
    await this.child.stop(graceMs);
  }
}

export class TestCluster implements AsyncDisposable {
  readonly home: string;
  readonly members: Member[] = [];
  bootstrap = "";

  private constructor(home: string) {
    this.home = home;
  }

  /** A folder and a rendezvous. */
  static async start(
    args: readonly string[] = [],
    listen = "127.0.0.1:0",
  ): Promise<TestCluster> {
    const home = await mkdtemp(join(tmpdir(), "shoal-test-"));
    const cluster = new TestCluster(home);
    try {
      await cluster.startRendezvous(listen, args);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Again after it was stopped: `listen` as before. */
  async startRendezvous(
    listen: string,
    args: readonly string[] = [],
  ): Promise<Member> {
    const rendezvous = this.#spawn("rendezvous", [
      "rendezvous",
      "--listen",
      listen,
      "--diagnostics-host",
      "127.0.0.1",
      "--diagnostics-port",
      "0",
      ...args,
    ]);
    const { addresses, peerId } = await rendezvous.ready();
    const [, , host, , port] = (addresses[0] ?? "").split("/");
    this.bootstrap = `${host}:${port}/p2p/${peerId}`;
    return rendezvous;
  }

  /** `shoal <role> …` with bootstrap, a home of its own by its name, and a free port. */
  start(role: string, name: string, args: readonly string[] = []): Member {
    return this.#spawn(name, [
      role,
      ...args,
      "--bootstrap",
      this.bootstrap,
      ...(args.includes("--cluster") ? [] : ["--cluster", "test"]),
      ...(args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"]),
    ]);
  }

  homeOf(name: string): string {
    return join(this.home, name);
  }

  #spawn(name: string, args: readonly string[]): Member {
    const common = ["--home", this.homeOf(name), "--log-level", "debug"];
    const member = new Member(name, [...args, ...common]);
    this.members.push(member);
    return member;
  }

  async folder(name: string): Promise<string> {
    const path = join(this.home, name);
    await mkdir(path, { recursive: true });
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop(5_000)));
    await rm(this.home, { recursive: true, force: true });
  }
}

/** In an order that `seed` gives: the same for the same seed. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const result = [...items];
  const random = new Random(seed);
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
