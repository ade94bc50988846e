/**
 * Every node is stopped (SIGTERM) and started again, one after the other, while clients ask all the time: how many requests fail? Three stages with two
 * holders each, as processes on this machine. Rounds go on until so many requests have ended. The exit code is 1 unless every reply has its text.
 *
 *     npm run build && npm exec -c 'node bench/rolling.ts --requests 1000'
 */
import { parseArgs } from "node:util";
import { Load } from "../test/support/load.ts";
import { Replicas } from "../test/support/replicas.ts";
import { rollOver } from "../test/support/rolling.ts";
import { median, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "1000" },
    clients: { type: "string", default: "4" },
    tokens: { type: "string", default: "64" },
  },
});

const undo: (() => Promise<void>)[] = [];
const end = { after: (fn: () => Promise<void>) => void undo.push(fn) };
try {
  const replicas = await Replicas.start(end, { stages: 3, holders: 2 });
  const undisturbed = await Replicas.undisturbed(end);
  const load = await Load.start(
    end,
    { replicas, undisturbed },
    { clients: Number(values.clients), tokens: Number(values.tokens) },
  );
  const restarts: { stopMs: number; startMs: number }[] = [];
  let rounds = 0;
  while (load.ended < Number(values.requests)) {
    restarts.push(...(await rollOver(replicas)));
    rounds++;
    say(`round ${rounds}: ${load.ended} requests`);
  }
  const { whole, failures, recoveries, firstMs, pauseMs } = await load.stop();
  for (const failure of failures) say(failure);
  if (failures.length > 0) process.exitCode = 1;
  report({
    bench: "rolling",
    requests: whole + failures.length,
    failed: failures.length,
    rounds,
    restarts: restarts.length,
    stopMs: round(median(restarts.map(({ stopMs }) => stopMs)), 0),
    startMs: round(median(restarts.map(({ startMs }) => startMs)), 0),
    recoveries,
    longestFirstMs: firstMs,
    longestPauseMs: pauseMs,
    ok: failures.length === 0,
  });
} finally {
  for (const step of undo.reverse()) await step();
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}
