/**
 * Machines that are far from each other: what a token takes against what its stages and its links take, and against what was predicted. Every link
 * between the members, each on a machine of its own, is slow; no two machines are nearer to each other than others.
 *
 * `overBy`: the median time between two tokens of a reply, divided by the stages' compute and the one-way delays around the ring; goal 1.1.
 * `offBy`: how far the gateway's prediction was from that time; goal 15 %. Medians of the replies; the exit code is 1 if one is missed.
 *
 *     npm run build && npm exec -c 'node bench/slow-links.ts'
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { splitModel } from "../src/model/index.ts";
import { type Far, startFar, stream } from "../test/support/far.ts";
import { Members } from "../test/support/member.ts";
import { writeRandomModel } from "../test/support/models.ts";
import { slowLinksMissing, TestNetwork } from "../test/support/namespaces.ts";
import { SMALL_MODEL } from "../test/support/seeded.ts";
import { median, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    stages: { type: "string", default: "2,3,4" },
    "one-way-ms": { type: "string", default: "20" },
    replies: { type: "string", default: "15" },
    tokens: { type: "string", default: "30" },
  },
});
const ONE_WAY_MS = Number(values["one-way-ms"]);
/** Their connections and measurements are new. */
const WARM_UP = 3;
const MOST_OVER = 1.1;
const MOST_OFF = 0.15;

if (slowLinksMissing !== false) throw new Error(slowLinksMissing);
for (const stages of values.stages.split(",")) await measure(Number(stages));

async function measure(stages: number): Promise<void> {
  const undo: (() => Promise<void>)[] = [];
  const end = { after: (fn: () => Promise<void>) => void undo.push(fn) };
  try {
    const far = await start(end, stages);
    for (let i = 0; i < WARM_UP; i++) await reply(far, stages);
    const all: Seen[] = [];
    for (let i = 0; i < Number(values.replies); i++)
      all.push(await reply(far, stages));
    const overBy = median(all.map(({ tokenMs, leastMs }) => tokenMs / leastMs));
    const offBy = median(
      all.map(({ tokenMs, predictedMs }) =>
        Math.abs(predictedMs / tokenMs - 1),
      ),
    );
    const ok = overBy <= MOST_OVER && offBy <= MOST_OFF;
    if (!ok) process.exitCode = 1;
    report({
      bench: "slow-links",
      stages,
      oneWayMs: ONE_WAY_MS,
      tokenMs: round(median(all.map(({ tokenMs }) => tokenMs)), 1),
      leastMs: round(median(all.map(({ leastMs }) => leastMs)), 1),
      predictedMs: round(median(all.map(({ predictedMs }) => predictedMs)), 1),
      overBy: round(overBy),
      offBy: round(offBy),
      ok,
    });
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

interface Seen {
  /** Median of a reply's times between two tokens. */
  tokenMs: number;
  /** Its stages' compute, and the one-way delays around the ring. */
  leastMs: number;
  predictedMs: number;
}

async function reply(far: Far, stages: number): Promise<Seen> {
  const { gapsMs, session } = await stream(far, Number(values.tokens));
  const { route, predictedMsPerToken } = session;
  if (route.length !== stages || !route.every(({ direct }) => direct))
    throw new Error(`the route is not ${stages} stages with direct links`);
  const computeMs = route.reduce(
    (sum, { computeMs: ms }) => sum + (ms ?? 0),
    0,
  );
  return {
    tokenMs: median(gapsMs),
    leastMs: stages * ONE_WAY_MS + computeMs,
    predictedMs: predictedMsPerToken ?? Number.NaN,
  };
}

async function start(
  end: { after: (fn: () => Promise<void>) => void },
  stages: number,
): Promise<Far> {
  const network = await TestNetwork.create();
  end.after(() => network[Symbol.asyncDispose]());
  const members = await Members.of(end);
  const model = join(members.home, "model.gguf");
  await writeRandomModel(model, SMALL_MODEL);
  const dir = join(members.home, "shards");
  await splitModel({ path: model, shards: stages, outDir: dir });
  return await startFar({
    network,
    members,
    dir,
    shards: Array.from({ length: stages }, (_, i) => i),
    stages,
    onPlaces: (places) =>
      network.slow(places, places, { oneWayMs: ONE_WAY_MS }),
  });
}
