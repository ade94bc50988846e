/**
 * The cluster's record, kept on disk. It binds the cluster's name to its key over restarts: the first key seen is the one, and a record of
 * another is refused. And it tells what the cluster serves while nobody else does.
 */
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Membership } from "../cluster/index.ts";
import { writeAtomically } from "../gguf/index.ts";
import { type EventSink, fileNameFor, ShoalError } from "../lib/index.ts";

export interface KeptRecordOptions {
  membership: Membership;
  stateDir: string;
  cluster: string;
  events: EventSink;
}

/** Takes what was kept, and keeps what comes. Returns the function that ends it. */
export async function keepClusterRecord(
  options: KeptRecordOptions,
): Promise<() => void> {
  const { membership, stateDir, cluster, events } = options;
  const file = `${fileNameFor(cluster)}.record.json`;
  const path = join(stateDir, "clusters", file);
  const warn = (what: string) => (error: unknown) => {
    const { code, message } = ShoalError.from(error);
    events.warn("CLUSTER", `${what}: ${message}`, { code, file });
  };
  const kept = await readFile(path, "utf8").catch(() => undefined);
  if (kept !== undefined) {
    await Promise.resolve()
      .then(() => JSON.parse(kept))
      .then((sealed) => membership.publish(sealed))
      .catch(warn("ignored the cluster's record from an earlier run"));
  }
  let last = kept;
  return membership.onChange(() => {
    const sealed = membership.publishedSealed();
    const text = sealed && JSON.stringify(sealed);
    if (text === undefined || text === last) return;
    last = text;
    write(path, text).catch(warn("could not save the cluster's record"));
  });
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeAtomically(path, {}, (output) => output.write(Buffer.from(text)));
}
