/**
 * How fast are contents hashed, as against SHA-256 alone? One run, pairs one after the other: the time that `node:crypto` takes to hash a
 * file's bytes, reading not counted, then the time that our thread takes to read them and make their piece hashes and root.
 *
 *     npm exec -c 'node bench/hash.ts'          # prints a JSON line and a sentence
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { Hasher } from "../src/torrent/hasher.ts";

const SIZE_BYTES = 512 * 1024 * 1024;
const CHUNK_BYTES = 4 * 1024 * 1024;
const PAIRS = 7;

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
  const pairs: { alone: Cost; tree: Cost }[] = [];
  for (let i = 0; i < PAIRS; i++)
    pairs.push({ alone: await cryptoAlone(path), tree: await ours() });
  const ratio = median(pairs.map((p) => p.alone.wallMs / p.tree.wallMs));
  const cpuRatio = median(pairs.map((p) => p.alone.cpuMs / p.tree.cpuMs));
  const mbps = (cost: Cost): number =>
    Math.round(SIZE_BYTES / 1000 / cost.wallMs);
  const aloneMBps = median(pairs.map((p) => mbps(p.alone)));
  const treeMBps = median(pairs.map((p) => mbps(p.tree)));
  const result = {
    bench: "hash",
    date: new Date().toISOString(),
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    sizeBytes: SIZE_BYTES,
    pairs: pairs.length,
    aloneMBps,
    treeMBps,
    ratio: Number(ratio.toFixed(3)),
    cpuRatio: Number(cpuRatio.toFixed(3)),
    ratios: pairs.map((p) =>
      Number((p.alone.wallMs / p.tree.wallMs).toFixed(3)),
    ),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.stdout.write(
    `The Merkle tree of a file is made at ${treeMBps} MB/s, reading included: ${result.ratio} of what node:crypto alone does on the same bytes (${aloneMBps} MB/s), ${result.cpuRatio} by CPU time.\n`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function writeContent(path: string): Promise<void> {
  await using file = await open(path, "w");
  const chunk = randomBytes(CHUNK_BYTES);
  for (let at = 0; at < SIZE_BYTES; at += CHUNK_BYTES) await file.write(chunk);
}

/** The time in `update` and `digest` only. */
async function cryptoAlone(path: string): Promise<Cost> {
  await using file = await open(path, "r");
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const hash = createHash("sha256");
  const sum: Cost = { wallMs: 0, cpuMs: 0 };
  for (let at = 0; at < SIZE_BYTES; at += CHUNK_BYTES) {
    await file.read(chunk, 0, CHUNK_BYTES, at);
    const cost = await timed(() => void hash.update(chunk));
    sum.wallMs += cost.wallMs;
    sum.cpuMs += cost.cpuMs;
  }
  hash.digest();
  return sum;
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
