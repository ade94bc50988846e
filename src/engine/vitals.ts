/** What the system tells of a process without asking it. Only Linux tells enough. */
import { readFileSync } from "node:fs";

export interface Vitals {
  /** Of its main thread: R runs or wants to, S sleeps, D waits for a disk, T is stopped, t is held by a debugger. */
  state: string;
  /** Changes with every moment that the process computes, by whatever little. */
  used: string;
}

/** Undefined where the system does not tell, or the process is gone. Takes some 30 µs. */
export function vitalsOf(pid: number): Vitals | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name before it may have spaces and parentheses. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state = ""] = fields;
    // Of all threads in hundredths of a second: utime, stime; page faults that waited for a disk.
    const [majorFaults, user, system] = [fields[9], fields[11], fields[12]];
    const used = `${majorFaults} ${user} ${system} ${nanosecondsOf(pid)}`;
    return { state, used };
  } catch {
    return undefined;
  }
}

/** Of the main thread; not every kernel has it. */
function nanosecondsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ")[0] ?? "";
  } catch {
    return "";
  }
}

/** Processes that Linux ended for want of memory, since its start; 0 elsewhere. Which ones they were it tells only its log. */
export function oomKills(): number {
  if (process.platform !== "linux") return 0;
  try {
    const text = readFileSync("/proc/vmstat", "latin1");
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
