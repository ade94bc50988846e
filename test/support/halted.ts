/** Processes that do not go on, or slowly: a debugger holds them, their control group is frozen, or it has little of the processor. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const DEBUGGER = join(import.meta.dirname, "ptrace.ts");
const FREEZERS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/** Why no process can be held here; false if one can. */
export const debuggerMissing: string | false = whyNoDebugger();
export const freezerMissing: string | false =
  groupWith("cgroup.freeze", FREEZERS) === undefined &&
  "no control groups to freeze here";
export const quotaMissing: string | false =
  quotaOf() === undefined && "no control groups with a quota here";
export const memoryGroupMissing: string | false =
  memoryOf() === undefined && "no control groups with little memory here";

/** Until what it gives is called. */
export async function holdByDebugger(
  pid: number,
): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, [DEBUGGER, `${pid}`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  await Promise.race([once(child.stdout, "data"), exited]);
  if (child.exitCode !== null) throw new Error(`cannot hold process ${pid}`);
  return async () => {
    child.stdin.end();
    await exited;
  };
}

/** Freezes a process in its place until what it gives is called. To others it looks asleep; it can be killed. */
export function freeze(pid: number): () => void {
  const group = newGroup(groupWith("cgroup.freeze", FREEZERS)!);
  group.set("cgroup.procs", pid);
  group.set("cgroup.freeze", 1);
  return () => {
    group.set("cgroup.freeze", 0);
    group.remove(pid);
  };
}

/** Leaves a process so much of one processor, until what it gives is called. */
export function throttle(pid: number, share: number): () => void {
  const { parent, limit } = quotaOf()!;
  const group = newGroup(parent);
  limit(group, share);
  group.set("cgroup.procs", pid);
  return () => group.remove(pid);
}

/** Processes in it have so little memory together that the system ends them. */
export function memoryGroup(
  bytes: number,
): Disposable & { add(pid: number): void } {
  const { parent, file } = memoryOf()!;
  const group = newGroup(parent);
  group.set(file, bytes);
  return {
    add: (pid) => group.set("cgroup.procs", pid),
    [Symbol.dispose]: () => group.remove(),
  };
}

/** Processes that it has started and that live. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8")
      .split(" ")
      .filter((child) => child !== "")
      .map(Number),
  );
}

interface Group {
  set(file: string, value: string | number): void;
  /** Gives a process back to the parent, if it still lives. */
  remove(pid?: number): void;
}

let groups = 0;

function newGroup(parent: string): Group {
  const path = join(parent, `shoal-test-${process.pid}-${++groups}`);
  mkdirSync(path);
  return {
    set: (file, value) => writeFileSync(join(path, file), `${value}`),
    remove: (pid) => {
      try {
        if (pid !== undefined)
          writeFileSync(join(parent, "cgroup.procs"), `${pid}`);
      } catch {
        // It has ended.
      }
      try {
        rmdirSync(path);
      } catch {
        // The system still counts one that has just ended.
      }
    },
  };
}

/** Where a new group has that file. */
function groupWith(
  file: string,
  parents: readonly string[],
): string | undefined {
  return parents.find((parent) => {
    const path = join(parent, `shoal-test-${process.pid}-probe`);
    try {
      mkdirSync(path);
    } catch {
      return false;
    }
    const has = existsSync(join(path, file));
    rmdirSync(path);
    return has;
  });
}

function quotaOf():
  { parent: string; limit: (group: Group, share: number) => void } | undefined {
  const [second] = [groupWith("cpu.max", ["/sys/fs/cgroup"])];
  if (second !== undefined)
    return {
      parent: second,
      limit: (group, share) =>
        group.set("cpu.max", `${Math.round(1e6 * share)} 1000000`),
    };
  const first = groupWith("cpu.cfs_quota_us", ["/sys/fs/cgroup/cpu"]);
  if (first === undefined) return undefined;
  return {
    parent: first,
    limit: (group, share) => {
      group.set("cpu.cfs_period_us", 1e6);
      group.set("cpu.cfs_quota_us", Math.round(1e6 * share));
    },
  };
}

function memoryOf(): { parent: string; file: string } | undefined {
  const places = [
    { file: "memory.max", parent: "/sys/fs/cgroup" },
    { file: "memory.limit_in_bytes", parent: "/sys/fs/cgroup/memory" },
  ];
  return places.find(
    ({ file, parent }) => groupWith(file, [parent]) !== undefined,
  );
}

function whyNoDebugger(): string | false {
  if (process.platform !== "linux") return "the debugger is for Linux";
  const sleeper = spawn("sleep", ["60"]);
  const tried = spawnSync(process.execPath, [DEBUGGER, `${sleeper.pid}`], {
    input: "",
  });
  sleeper.kill("SIGKILL");
  return tried.status !== 0 && "no process may be held here";
}
