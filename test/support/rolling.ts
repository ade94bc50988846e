/** A rolling restart: each node in turn is told to stop, ends, and is started again; the next one's turn comes when the cluster is whole. */
import assert from "node:assert/strict";
import type { Replicas } from "./replicas.ts";

export interface Restart {
  name: string;
  /** From SIGTERM to its end, and from there until it was ready again. */
  stopMs: number;
  startMs: number;
}

export async function rollOver(replicas: Replicas): Promise<Restart[]> {
  const restarts: Restart[] = [];
  for (const holder of replicas.holders) {
    const fromMs = Date.now();
    await holder.member.stop();
    const said = holder.member.seen
      .filter(({ timeMs }) => timeMs >= fromMs)
      .map(
        ({ timeMs, tag, message }) => `${timeMs - fromMs} [${tag}] ${message}`,
      );
    const what = [`${holder.name}'s exit code`, ...said].join("\n");
    assert.equal(await holder.member.exited, 0, what);
    const endedMs = Date.now();
    await replicas.restart(holder);
    await replicas.whole();
    const startMs = Date.now() - endedMs;
    restarts.push({ name: holder.name, stopMs: endedMs - fromMs, startMs });
  }
  return restarts;
}
