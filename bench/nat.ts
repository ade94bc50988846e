/**
 * From any home to any home: two stages of a model behind routers of every pair of kinds, a gateway in public and one behind a router. Prints
 * which pipelines became ready, which chats were answered and by which way. Fails if one is not that should be by now; `--all` wants all.
 *
 *     npm run build && npm exec -c 'node bench/nat.ts'
 */
import { parseArgs } from "node:util";
import { HOME_KINDS, homesMissing } from "../test/support/homes.ts";
import { Members } from "../test/support/member.ts";
import {
  mustAnswer,
  natMatrix,
  patienceMs,
  tableOf,
} from "../test/support/nat-matrix.ts";
import { report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    all: { type: "boolean", default: false },
    lanes: { type: "string", default: "3" },
  },
});
if (homesMissing) throw new Error(homesMissing);
const pairs = HOME_KINDS.flatMap((a, i) =>
  HOME_KINDS.slice(i).map((b) => [a, b] as const),
);
const undo: (() => Promise<void>)[] = [];
try {
  const members = await Members.of({ after: (fn) => void undo.push(fn) });
  const startMs = performance.now();
  const lanes = Number(values.lanes);
  const results = await natMatrix({ members, pairs, lanes, patienceMs });
  process.stdout.write(`${tableOf(results).join("\n")}\n`);
  const asked = results.flatMap(({ pair, answers }) =>
    (["public", "home"] as const).map((at) => ({
      isAnswered: answers[at].answeredMs !== undefined,
      isDue: values.all || mustAnswer(pair, at),
    })),
  );
  const missing = asked.filter((one) => one.isDue && !one.isAnswered).length;
  report({
    bench: "nat",
    pairs: pairs.length,
    asked: asked.length,
    answered: asked.filter(({ isAnswered }) => isAnswered).length,
    missing,
    seconds: round((performance.now() - startMs) / 1_000, 1),
  });
  if (missing > 0) process.exitCode = 1;
} finally {
  for (const end of undo) await end();
}
