/**
 * How much must a seeder upload? A random-weight model of 2 GiB, a seeder, and four node processes with nothing that start at once: each
 * fetches its quarter; then, in a new swarm, all four fetch the same.
 *
 *     npm exec -c 'node bench/spread.ts'                       # needs 6 GiB of disk
 *     npm exec -c 'node bench/spread.ts --mib 64 --upload-limit 6000000'
 */
import { rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Members } from "../test/support/member.ts";
import { writeRandomModel } from "../test/support/models.ts";
import { spread } from "../test/support/spread.ts";
import { report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "2048" },
    /** Bytes per second of the seeder; none: as fast as it goes. */
    "upload-limit": { type: "string" },
  },
});

const SHARDS = 4;
const LAYERS = 8;
const mib = Number(values.mib);
/** F32: a layer has 4·d·(2.5·d + 3·f) bytes, with f = 2·d that is 34·d². */
const width = Math.round(Math.sqrt((mib * 2 ** 20) / LAYERS / 34) / 64) * 64;
const uploadLimit =
  values["upload-limit"] === undefined
    ? undefined
    : Number(values["upload-limit"]);

const model = join(tmpdir(), `shoal-bench-${process.pid}.gguf`);
try {
  await writeRandomModel(model, {
    layers: LAYERS,
    embeddingLength: width,
    heads: 8,
    kvHeads: 2,
    feedForward: 2 * width,
    vocabSize: 512,
    vocab: "bytes",
  });
  const { size } = await stat(model);
  await run("quarters", [0, 1, 2, 3], size);
  await run("same shard", [1, 1, 1, 1], size);
} finally {
  await rm(model, { force: true });
}
process.exit();

async function run(
  what: string,
  wanted: readonly number[],
  sizeBytes: number,
): Promise<void> {
  const cleanUps: (() => Promise<void>)[] = [];
  const members = await Members.of({
    after: (undo) => void cleanUps.push(undo),
  });
  try {
    const result = await spread({
      members,
      model,
      shards: SHARDS,
      wanted,
      uploadLimit,
    });
    const [shard = 0] = result.wantedBytes;
    const of = what === "quarters" ? sizeBytes : shard;
    report({
      bench: "spread",
      what,
      nodes: wanted.length,
      modelBytes: sizeBytes,
      seederUploadBytes: result.seederUploadBytes,
      ratio: round(result.seederUploadBytes / of),
      goal: what === "quarters" ? 1.1 : 2,
      nodeUploadBytes: result.nodeUploadBytes,
      nodeDownloadBytes: result.nodeDownloadBytes,
      tookMs: Math.round(result.tookMs),
    });
  } finally {
    for (const undo of cleanUps) await undo();
  }
}
