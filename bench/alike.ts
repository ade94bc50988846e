/**
 * Three machines that are alike, as processors' shares give it, while clients ask all the time: the cut stays as it is, since nothing is won by
 * moving it. What their speeds were measured as differs from minute to minute, and must not be taken for more than it is. The exit code is
 * 1 if a layer moved, or a request failed.
 *
 *     npm run build && npm exec -c 'node bench/alike.ts --minutes 60'
 */
import { parseArgs } from "node:util";
import { sleep } from "../src/lib/index.ts";
import { noShares } from "../test/support/cpu-shares.ts";
import { ASK, Askers, Machines } from "../test/support/machines.ts";
import { streamReply } from "../test/support/reply.ts";
import { report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    /** Of a processor, of each. */
    share: { type: "string", default: "0.125" },
  },
});
const LOOK_MS = 10_000;

const missing = noShares();
if (missing !== false) throw new Error(missing);
const undo: (() => Promise<void>)[] = [];
const end = { after: (fn: () => Promise<void>) => void undo.push(fn) };
try {
  const share = Number(values.share);
  const machines = await Machines.start(
    end,
    [share, share, share],
    ["auto", "auto", "auto"],
  );
  const before = (await machines.layers()).join(", ");
  const expected = await streamReply(machines.url, ASK);
  const askers = new Askers(end, machines.url);
  const untilMs = performance.now() + 60_000 * Number(values.minutes);
  /** Of the slowest machine to the fastest, as measured. */
  let mostApart = 1;
  let moved: string | undefined;
  while (performance.now() < untilMs && moved === undefined) {
    await sleep(LOOK_MS);
    const { now } = await machines.plan();
    const speeds = now.stages.flatMap(({ computeMs, layerStart, layerEnd }) =>
      computeMs === null ? [] : [computeMs / (layerEnd - layerStart)],
    );
    if (speeds.length > 1)
      mostApart = Math.max(
        mostApart,
        Math.max(...speeds) / Math.min(...speeds),
      );
    const layers = (await machines.layers()).join(", ");
    if (layers !== before || machines.seen("moving the cut"))
      moved = `${before} became ${layers}`;
  }
  await askers.end();
  const changed = askers.replies.filter(
    ({ reply }) => reply.text !== expected.text,
  ).length;
  const ok =
    moved === undefined && askers.failures.length === 0 && changed === 0;
  if (!ok) process.exitCode = 1;
  report({
    bench: "alike",
    minutes: Number(values.minutes),
    layers: before,
    moved: moved ?? null,
    mostApart: round(mostApart, 2),
    replies: askers.replies.length,
    failed: askers.failures.length,
    changed,
    ok,
  });
} finally {
  for (const step of undo.reverse()) await step();
}
