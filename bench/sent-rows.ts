/**
 * What it costs a reply that each stage keeps what it sends on. Two rings of two engines with data connections, one of which keeps nothing; the same
 * reply by each in turn, in pairs. The exit code is 1 if keeping takes over 2 % more.
 *
 *     npm exec -c 'node bench/sent-rows.ts'
 *     npm exec -c 'node bench/sent-rows.ts --width 4096 --pairs 15'
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { splitModel } from "../src/model/index.ts";
import { EngineRing } from "../test/support/engine-ring.ts";
import { writeBenchModel } from "./generation.ts";
import { median, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: "15" },
    tokens: { type: "string", default: "200" },
    /** Of a token's row; 4 bytes each. */
    width: { type: "string", default: "1024" },
  },
});
const TOKENS = Number(values.tokens);
const WIDTH = Number(values.width);
const CONTEXT = 512;
const GOAL = 1.02;
const PROMPT = Array.from({ length: 20 }, (_, i) => 300 + i * 37);

const directory = await mkdtemp(join(tmpdir(), "shoal-bench-"));
const path = join(directory, "random.gguf");
try {
  await writeBenchModel(path, WIDTH, CONTEXT);
  const outDir = join(directory, "shards");
  const { shards } = await splitModel({ path, shards: 2, outDir });
  const paths = shards.map((shard) => shard.path);
  const engine = { contextLength: CONTEXT, sessions: 1 };
  await using keeps = await EngineRing.start({ paths, engine });
  await using forgets = await EngineRing.start({
    paths,
    engine: { ...engine, keepsSentRows: false },
  });
  for (const ring of [keeps, forgets]) {
    await ring.connect();
    await msPerToken(ring);
  }
  const ratios: number[] = [];
  for (let i = 0; i < Number(values.pairs); i++) {
    const [first, second] = i % 2 === 0 ? [keeps, forgets] : [forgets, keeps];
    const [a, b] = [await msPerToken(first), await msPerToken(second)];
    ratios.push(first === keeps ? a / b : b / a);
  }
  const ratio = median(ratios);
  const ok = ratio <= GOAL;
  if (!ok) process.exitCode = 1;
  report({
    bench: "sent-rows",
    width: WIDTH,
    tokens: TOKENS,
    pairs: ratios.length,
    ratio: round(ratio, 4),
    least: round(Math.min(...ratios), 4),
    most: round(Math.max(...ratios), 4),
    ok,
  });
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function msPerToken(ring: EngineRing): Promise<number> {
  const came: number[] = [];
  await ring.generate({
    prompt: PROMPT,
    maxTokens: TOKENS,
    sequence: 0,
    onToken: () => came.push(performance.now()),
  });
  return ((came.at(-1) ?? 0) - (came[0] ?? 0)) / (came.length - 1);
}
