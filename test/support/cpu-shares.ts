/**
 * Machines of different speeds on this one: each process gets a share of a processor, by a control group of its own (version 1 or 2). It gets
 * that first of all, so that the share is its speed however busy this machine is.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { until } from "./until.ts";

/** The kernel's least: a slow machine is slow all the time, and not stopped for long at times. */
const QUOTA_US = 1_000;

const V1 = "/sys/fs/cgroup/cpu";
const V2 = "/sys/fs/cgroup";

/** Undefined where shares can be given; else why not. */
export function noShares(): string | false {
  const shares = new CpuShares(`shoal-probe-${process.pid}`);
  try {
    shares.limit("probe", 1);
    return false;
  } catch (error) {
    return `no control groups for processors here: ${String(error)}`;
  } finally {
    shares.remove();
  }
}

export class CpuShares {
  readonly #root: string;
  readonly #isV1 = existsSync(join(V1, "cpu.cfs_quota_us"));
  readonly #groups: string[] = [];

  constructor(name: string) {
    this.#root = join(this.#isV1 ? V1 : V2, name);
  }

  /** Of one processor, 0 to 1. */
  limit(name: string, share: number): void {
    const period = Math.round(QUOTA_US / share);
    const group = this.#group(name);
    if (this.#isV1) {
      writeFileSync(join(group, "cpu.cfs_period_us"), String(period));
      writeFileSync(join(group, "cpu.cfs_quota_us"), String(QUOTA_US));
    } else writeFileSync(join(group, "cpu.max"), `${QUOTA_US} ${period}`);
  }

  /** The process and all that it starts from then on; what it has started by then must be named too. */
  put(name: string, pids: readonly number[]): void {
    for (const pid of pids)
      writeFileSync(join(this.#group(name), "cgroup.procs"), String(pid));
  }

  /** Once the processes in them have ended. */
  async end(): Promise<void> {
    await until("the processes with shares to end", () =>
      this.#groups.every(
        (group) => readFileSync(join(group, "cgroup.procs"), "utf8") === "",
      ),
    );
    this.remove();
  }

  remove(): void {
    for (const group of this.#groups.splice(0)) rmdirSync(group);
    if (existsSync(this.#root)) rmdirSync(this.#root);
  }

  #group(name: string): string {
    const group = join(this.#root, name);
    if (this.#groups.includes(group)) return group;
    mkdirSync(group, { recursive: true });
    this.#groups.push(group);
    if (!this.#isV1)
      for (const folder of [V2, this.#root])
        writeFileSync(join(folder, "cgroup.subtree_control"), "+cpu");
    for (const folder of [this.#root, group])
      if (this.#isV1) writeFileSync(join(folder, "cpu.shares"), "262144");
      else writeFileSync(join(folder, "cpu.weight"), "10000");
    return group;
  }
}
