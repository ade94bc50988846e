/**
 * How much memory liars cost a node, and whether their bytes reach its disk. The node, the honest source and the liars are three processes,
 * so only the node itself is measured.
 */
import assert from "node:assert/strict";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { within } from "../../test/support/network.ts";
import { Side } from "../../test/support/side.ts";
import type {
  Counts,
  LiarReport,
  LiarsOrder,
} from "../../test/fakes/hostile-sources.ts";
import { PART_SUFFIX } from "../store/partial.ts";
import type { PeerSpec } from "./source.ts";
import { DEFAULTS } from "./defaults.ts";
import type {
  Fetched,
  Seeded,
  TransferOrder,
} from "../../test/fakes/transfer-process.ts";
import type { TransferOptions, TransferStats } from "./transfer.ts";
import { PIECE_BYTES } from "../store/index.ts";

/** 47 MB a layer. */
const MODEL = {
  embeddingLength: 1024,
  heads: 8,
  kvHeads: 4,
  feedForward: 2816,
  vocabSize: 1024,
  vocab: "bytes",
  tied: true,
} as const;
const MB = 1e6;
const MAX_GROWN_BYTES = 200 * MB;
/** The processes share two slow cores with whatever else runs. */
const PATIENCE_MS = 120_000;
const QUIET_MS = 3_000;
const LOOK_AT_DISK_MS = 1_000;
/** A frame is counted once its stream accepted it, and the last one's stream may be closed by then. */
const UNCOUNTED_BYTES = 128 * 1024;

interface Case {
  layers: number;
  counts: Counts;
  honestBytesPerSecond: number;
  /** Known from a manifest. */
  sized: boolean;
}

interface Outcome extends Fetched {
  grownBytes: number;
  sizeBytes: number;
  pieces: number;
  /** Correct bytes from the honest source. */
  honestBytes: number;
  honest: PeerSpec;
  liars: LiarReport[];
  looks: number;
}

test("all of them at once, more than a download has links, cost less than 200 MB and write nothing to disk", async (t) => {
  const outcome = await run(t, {
    layers: 3,
    counts: { wire: 1, banned: 1, waiting: 4 },
    honestBytesPerSecond: 16 * MB,
    sized: true,
  });
  report(t, outcome);
  assertHonest(outcome);
  const codes = new Set(outcome.stats.downloads.banned.map(({ code }) => code));
  for (const code of [
    "PIECE_INVALID",
    "CONTENT_INVALID",
    "FRAME_MALFORMED",
    "FRAME_TOO_LARGE",
  ]) {
    assert.ok(codes.has(code), `nobody was banned for ${code}`);
  }
});

test("floods during the whole download cost less than 200 MB and write nothing to disk", async (t) => {
  const outcome = await run(t, {
    layers: 1,
    counts: { wire: 3, banned: 0, waiting: 0 },
    honestBytesPerSecond: 8 * MB,
    sized: false,
  });
  report(t, outcome);
  assertHonest(outcome);
  assert.ok(outcome.tookMs > 5_000, "too fast to be flooded");
  const last = Math.min(...outcome.liars.map(({ silentMs }) => silentMs));
  // A liar that was cut off must reconnect, which takes seconds on a busy machine.
  const most = outcome.tookMs / 3;
  assert.ok(last < most, `the last of them gave up ${last} ms before the end`);
});

/** Rejects if any check finds a wrong byte on disk. */
async function run(t: TestContext, which: Case): Promise<Outcome> {
  const { layers, counts, honestBytesPerSecond, sized } = which;
  // Registered first, so it runs first: a folder that is still being written to cannot be removed.
  const sides: { kill: () => Promise<void> }[] = [];
  t.after(() => Promise.all(sides.map((side) => side.kill())));
  const side = <Order>(program: string): Side<Order> => {
    const started = new Side<Order>(new URL(program, import.meta.url));
    sides.push(started);
    return started;
  };
  const folder = await temporaryFolder(t);
  const model = join(folder, "honest", "model.gguf");
  const path = join(folder, "node", "model.gguf");
  await mkdir(join(folder, "honest"));
  await mkdir(join(folder, "node"));
  await writeRandomModel(model, { ...MODEL, layers });
  const options = (
    name: string,
    more: Partial<TransferOptions>,
  ): TransferOptions => ({
    host: { listen: ["/ip4/127.0.0.1/tcp/0"] },
    store: {
      directories: [join(folder, name)],
      stateDir: join(folder, `${name}-state`),
      settleMs: 0,
    },
    ...more,
  });
  const transfers = "../../test/fakes/transfer-process.ts";
  const honestSide = side<TransferOrder>(transfers);
  const honest = await honestSide.do<PeerSpec>({
    op: "start",
    options: options("honest", { uploadBytesPerSecond: honestBytesPerSecond }),
  });
  const files = await honestSide.do<Seeded[]>({ op: "files" });
  const file = files.find(({ name }) => name === "model.gguf");
  assert.ok(file !== undefined, "the honest source has the model");
  const { root, sizeBytes } = file;

  const liarsSide = side<LiarsOrder>("../../test/fakes/hostile-sources.ts");
  const liars = await liarsSide.do<LiarReport[]>({
    op: "start",
    path: model,
    counts,
  });
  assert.ok(liars.length > DEFAULTS.linksPerDownload, `${liars.length} liars`);

  const node = side<TransferOrder>(transfers);
  await node.do({ op: "start", options: options("node", { stallMs: 2_000 }) });
  const idleBytes = await node.do<number>({ op: "idle", ms: QUIET_MS });
  const order = {
    root,
    sizeBytes: sized ? sizeBytes : undefined,
    path,
    sources: [...liars.map(({ spec }) => spec), honest],
  };
  const done = node.do<Fetched>({ op: "download", order });
  const over = new AbortController();
  const looking = lookAtDisk(`${path}${PART_SUFFIX}`, model, over.signal);
  const ended = within(done, "the download", PATIENCE_MS)
    .finally(() => over.abort())
    .then(async (fetched) => ({
      ...fetched,
      liars: await liarsSide.do<LiarReport[]>({ op: "report" }),
    }));
  const [fetched, looks] = await Promise.all([ended, looking]);
  await assertSame(path, model, "whole");
  const honestBytes = await sentBy(honestSide, sizeBytes - UNCOUNTED_BYTES);
  return {
    ...fetched,
    grownBytes: fetched.mostBytes - idleBytes,
    sizeBytes,
    pieces: Math.ceil(sizeBytes / PIECE_BYTES),
    honestBytes,
    honest,
    looks,
  };
}

function assertHonest(outcome: Outcome): void {
  const { grownBytes, sizeBytes, honestBytes, honest, liars } = outcome;
  assert.deepEqual(
    liars.flatMap(({ name, asked }) => (asked ? [] : [name])),
    [],
    "all were asked",
  );
  assert.ok(outcome.looks > 1, `${outcome.looks} looks at the disk`);
  // Liars sent only wrong pieces, so all correct ones are from here.
  const least = sizeBytes - UNCOUNTED_BYTES;
  assert.ok(honestBytes >= least, `${honestBytes} of ${sizeBytes} bytes`);
  const ids = new Set(liars.map(({ spec }) => spec.peerId));
  for (const { source } of outcome.stats.downloads.banned) {
    assert.notEqual(source, honest.peerId);
    assert.ok(ids.has(source));
  }
  assert.ok(grownBytes < MAX_GROWN_BYTES, `${grownBytes / MB} MB more`);
}

function report(t: TestContext, outcome: Outcome): void {
  const { tookMs, grownBytes, mostBytes, sizeBytes, liars, looks } = outcome;
  const sent = liars.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  const mb = (bytes: number): string => `${Math.round(bytes / MB)} MB`;
  t.diagnostic(
    `${mb(sizeBytes)} in ${Math.round(tookMs / 1000)} s, ${mb(mostBytes)} at most, ${mb(grownBytes)} above idle; ${liars.length} liars sent ${mb(sent)}; ${looks} looks at the disk`,
  );
}

/** Counted once the stream accepted it, which may be after it arrived. */
async function sentBy(
  seeder: Side<TransferOrder>,
  expectedBytes: number,
): Promise<number> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const { uploads } = await seeder.do<TransferStats>({ op: "stats" });
    if (uploads.bytes >= expectedBytes || performance.now() > untilMs)
      return uploads.bytes;
  }
}

/** Periodically, and once after the download; returns how often the file existed. */
async function lookAtDisk(
  path: string,
  model: string,
  over: AbortSignal,
): Promise<number> {
  let looks = 0;
  while (!over.aborted) {
    const timeout = AbortSignal.timeout(LOOK_AT_DISK_MS);
    const either = AbortSignal.any([over, timeout]);
    await new Promise((resolve) => {
      either.addEventListener("abort", resolve, { once: true });
    });
    if (over.aborted) break;
    if (await assertSame(path, model, "in part")) looks++;
  }
  return looks;
}

const HOLE = Buffer.alloc(PIECE_BYTES);

/** Each byte of the file is the model's or still a hole; a check may happen in the middle of a write. False if there is no file. */
async function assertSame(
  path: string,
  model: string,
  how: "whole" | "in part",
): Promise<boolean> {
  const found = await open(path).catch(() => undefined);
  if (found === undefined && how === "in part") return false;
  assert.ok(found !== undefined, `no ${path}`);
  await using file = found;
  await using right = await open(model);
  const { size } = await right.stat();
  const { size: hasBytes } = await file.stat();
  // Just made.
  if (hasBytes === 0 && how === "in part") return false;
  assert.equal(hasBytes, size);
  const is = Buffer.alloc(PIECE_BYTES);
  const should = Buffer.alloc(PIECE_BYTES);
  for (let at = 0; at < size; at += PIECE_BYTES) {
    const { bytesRead } = await file.read(is, 0, PIECE_BYTES, at);
    await right.read(should, 0, PIECE_BYTES, at);
    if (is.compare(should, 0, bytesRead, 0, bytesRead) === 0) continue;
    if (how === "in part" && is.compare(HOLE, 0, bytesRead, 0, bytesRead) === 0)
      continue;
    for (let i = 0; i < bytesRead; i++) {
      if (is[i] === should[i] || (is[i] === 0 && how === "in part")) continue;
      assert.fail(`${is[i]} for ${should[i]} at ${at + i} of ${path}`);
    }
  }
  return true;
}
