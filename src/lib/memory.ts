/** The memory that a program may still take on this machine. */
import { execFileSync } from "node:child_process";

const VM_STAT = "/usr/bin/vm_stat";
/** It takes some milliseconds; a hang must not stop the process. */
const VM_STAT_TIMEOUT_MS = 1_000;
/** Pages that nobody uses, and those that the system gives away as soon as somebody needs memory. */
const MAC_AVAILABLE = ["free", "speculative", "inactive"];

export interface MemorySource {
  platform: NodeJS.Platform;
  /** Linux: what a process may take, within its cgroup. Windows: with the caches that are given away. Mac: unused pages only. */
  reported: () => number;
  /** What `vm_stat` prints. */
  vmStat: () => string;
}

/** Bytes, without swapping. */
export function availableMemory(
  { platform, reported, vmStat }: MemorySource = {
    platform: process.platform,
    reported: () => process.availableMemory(),
    vmStat: () =>
      execFileSync(VM_STAT, { encoding: "utf8", timeout: VM_STAT_TIMEOUT_MS }),
  },
): number {
  if (platform !== "darwin") return reported();
  try {
    return macAvailable(vmStat()) ?? reported();
  } catch {
    return reported();
  }
}

/** Undefined if the text is not what vm_stat prints. */
function macAvailable(text: string): number | undefined {
  const pageBytes = /page size of (\d+) bytes/.exec(text)?.[1];
  const pages = MAC_AVAILABLE.map(
    (kind) => new RegExp(`^Pages ${kind}:\\s+(\\d+)\\.`, "m").exec(text)?.[1],
  );
  const bytes = pages.reduce(
    (sum, count) => sum + Number(count) * Number(pageBytes),
    0,
  );
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
