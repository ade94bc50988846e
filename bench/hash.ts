/**
 * How fast are contents hashed, as against plain SHA-256? One run, pairs one after the other: `node:crypto` over a file in one pass, then our
 * thread making the piece hashes and root of the same file. Also stated: the ratio to the time in `update` alone, reading not counted.
 *
 *     npm exec -c 'node bench/hash.ts'          # prints a JSON line and a sentence
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { Hasher } from "../src/store/index.ts";

const SIZE_BYTES = 512 * 1024 * 1024;
const CHUNK_BYTES = 4 * 1024 * 1024;
const PAIRS = 7;

interface Pair {
  /** Reading and hashing in one pass. */
  plain: Cost;
  /** Of that the time in `update`. */
  update: Cost;
  tree: Cost;
}

interface Cost {
  wallMs: number;
  cpuMs: number;
}

const folder = await mkdtemp(join(tmpdir(), "shoal-bench-"));
try {
  const path = join(folder, "content");
  await writeContent(path);
  await using hasher = new Hasher();
  const ours = (): Promise<Cost> =>
    timed(() => hasher.hash([{ path, offset: 0, sizeBytes: SIZE_BYTES }]));
  // Not counted: the thread starts, the file comes into the page cache, the compiler sees the code.
  await ours();
  await cryptoAlone(path);
  const pairs: Pair[] = [];
  for (let i = 0; i < PAIRS; i++)
    pairs.push({ ...(await cryptoAlone(path)), tree: await ours() });
  const ratioOf = (of: "plain" | "update", by: "wallMs" | "cpuMs"): number =>
    round(median(pairs.map((pair) => pair[of][by] / pair.tree[by])));
  const mbps = (cost: Cost): number =>
    Math.round(SIZE_BYTES / 1000 / cost.wallMs);
  const plainMBps = median(pairs.map((p) => mbps(p.plain)));
  const treeMBps = median(pairs.map((p) => mbps(p.tree)));
  const result = {
    bench: "hash",
    date: new Date().toISOString(),
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    sizeBytes: SIZE_BYTES,
    pairs: pairs.length,
    plainMBps,
    treeMBps,
    ratio: ratioOf("plain", "wallMs"),
    cpuRatio: ratioOf("plain", "cpuMs"),
    updateOnlyRatio: ratioOf("update", "wallMs"),
    updateOnlyCpuRatio: ratioOf("update", "cpuMs"),
    ratios: pairs.map((p) => round(p.plain.wallMs / p.tree.wallMs)),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.stdout.write(
    `The Merkle tree of a file is made at ${treeMBps} MB/s: ${result.ratio} of node:crypto's SHA-256 over the same file (${plainMBps} MB/s), ${result.cpuRatio} by CPU time.\n`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function writeContent(path: string): Promise<void> {
  await using file = await open(path, "w");
  const chunk = randomBytes(CHUNK_BYTES);
  for (let at = 0; at < SIZE_BYTES; at += CHUNK_BYTES) await file.write(chunk);
}

async function cryptoAlone(path: string): Promise<Omit<Pair, "tree">> {
  await using file = await open(path, "r");
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const hash = createHash("sha256");
  const update: Cost = { wallMs: 0, cpuMs: 0 };
  const plain = await timed(async () => {
    for (let at = 0; at < SIZE_BYTES; at += CHUNK_BYTES) {
      await file.read(chunk, 0, CHUNK_BYTES, at);
      const cost = await timed(() => void hash.update(chunk));
      update.wallMs += cost.wallMs;
      update.cpuMs += cost.cpuMs;
    }
    hash.digest();
  });
  return { plain, update };
}

async function timed(work: () => unknown): Promise<Cost> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const wallMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000 };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
