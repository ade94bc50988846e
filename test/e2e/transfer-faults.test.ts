/** Faults of transfers between real processes: killed downloaders and seeders, a full disk, a thread that dies. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { readPartialState } from "../../src/store/partial-state.ts";
import { STATE_SUFFIX } from "../../src/store/partial.ts";
import { pieceCount, PIECE_BYTES } from "../../src/store/index.ts";
import { DEFAULTS } from "../../src/transfer/defaults.ts";
import { type Run, shoal } from "../support/cli.ts";
import { Random } from "../support/random.ts";
import { type Seeded, seeded } from "../support/seeded.ts";
import { totalsOf } from "../support/spread.ts";

const KILLS = 10;
/** Slow enough that a download takes longer than a process's start. */
const UPLOAD_LIMIT = 5_000_000;
/** Asked for at one source at most, and the piece whose end is on its way. */
const IN_FLIGHT_BYTES = DEFAULTS.windowBytes + PIECE_BYTES;

async function setting(
  t: TestContext,
  uploadLimit = UPLOAD_LIMIT,
): Promise<Seeded & { bytes: Buffer }> {
  const seed = await seeded(t, 4, uploadLimit);
  return { ...seed, bytes: await readFile(seed.model) };
}

/** Verified pieces of a download to `path`, as its state on disk has them. */
async function piecesAt(path: string): Promise<number> {
  return (await readPartialState(`${path}${STATE_SUFFIX}`))?.marked.count ?? 0;
}

/** Resolves once `pieces` are verified there, or when the process is gone. */
async function untilPieces(
  path: string,
  pieces: number,
  isGone: () => boolean,
): Promise<void> {
  while (!isGone() && (await piecesAt(path)) < pieces)
    await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A field of the first logged line (JSON) with this message. */
function logged(run: Run, message: RegExp, field: string): number {
  const lines = run.stderr
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const found = lines.find((line) =>
    message.test(String(line["msg"] ?? line["message"])),
  );
  return Number(found?.[field]);
}

test("a downloader killed ten times loses no verified piece", async (t) => {
  const { members, seeder, bytes, at } = await setting(t);
  const out = join(members.home, "copy.gguf");
  const pieces = pieceCount(bytes.length);
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = new Random(seed, "kills");
  const moments = Array.from({ length: KILLS }, () =>
    random.below(pieces - 2),
  ).toSorted((a, b) => a - b);
  t.diagnostic(`seed ${seed}: killed at pieces ${moments.join(", ")}`);
  const get = ["get", "model.gguf", "--out", out, ...at("downloader")];
  for (const moment of moments) {
    const before = await piecesAt(out);
    const run = members.start("downloader", get);
    let isGone = false;
    void run.exited.then(() => {
      isGone = true;
    });
    await untilPieces(out, Math.max(moment, before), () => isGone);
    // Not only just after a piece, either.
    await new Promise((resolve) => setTimeout(resolve, random.below(200)));
    assert.ok(!isGone, "it did not end by itself");
    await run.kill();
    assert.ok((await piecesAt(out)) >= before, "what was verified stays");
  }
  const kept = await piecesAt(out);
  assert.ok(kept > 0);
  const log = ["--log", "json", "--log-level", "debug"];
  const last = await shoal([...get, ...log]);
  assert.equal(last.code, 0, last.stderr);
  assert.ok((await readFile(out)).equals(bytes));
  assert.equal(logged(last, /^downloading model/, "resumed"), kept);
  const fetched = logged(last, /^transfers of this run/, "downloadedBytes");
  assert.ok(
    fetched <= (pieces - kept) * PIECE_BYTES,
    `${fetched} bytes for ${pieces - kept} pieces`,
  );
  const { uploaded } = await totalsOf(seeder);
  const most = bytes.length + KILLS * IN_FLIGHT_BYTES;
  assert.ok(uploaded <= most, `${uploaded} bytes sent, ${most} at most`);
  const left = (await readdir(members.home)).filter((n) => /\.part/.test(n));
  assert.deepEqual(left, []);
});

test("a download continues when its seeder is killed and another holder remains", async (t) => {
  const { members, seeder, at } = await setting(t);
  const whole = [
    "node",
    "--layers",
    "0-3",
    "--threads",
    "1",
    "--context",
    "64",
  ];
  const limit = ["--upload-limit", String(UPLOAD_LIMIT)];
  const other = members.start("other", [...whole, ...limit, ...at("other")]);
  await other.whenReady();
  const listed = await other.when(
    ({ tag, fields }) => tag === "TORRENT_SYNC" && Number(fields.listed) >= 7,
    "its parts to be listed",
  );
  assert.ok(listed.fields.listed);
  const node = members.start("node", [...whole, ...at("node")]);
  await node.when(
    ({ tag, message }) => tag === "TORRENT" && /: [1-9]\d? %$/.test(message),
    "the middle of a part",
  );
  await seeder.kill();
  await node.whenReady();
});

test("a full disk is reported with its code; the download continues when there is room", async (t) => {
  const { members, bytes, at } = await setting(t);
  const small = join(members.home, "small");
  await mkdir(small);
  const megabytes = Math.ceil(bytes.length / 2 ** 20);
  try {
    const size = `size=${megabytes + 4}m`;
    execFileSync("mount", ["-t", "tmpfs", "-o", size, "tmpfs", small]);
  } catch {
    t.skip("this user may not mount a small disk");
    return;
  }
  try {
    const out = join(small, "copy.gguf");
    const get = ["get", "model.gguf", "--out", out, ...at("downloader")];
    // No room from the start: nothing is written.
    const filler = join(small, "filler");
    await writeFile(filler, Buffer.alloc(16 * 2 ** 20));
    const refused = await shoal(get);
    assert.equal(refused.code, 73, refused.stderr);
    assert.match(refused.stderr, /\(DISK_FULL\)/);
    assert.deepEqual(await readdir(small), ["filler"]);
    await rm(filler);
    // Somebody else fills the disk meanwhile.
    let isGone = false;
    const running = shoal(get).finally(() => {
      isGone = true;
    });
    await untilPieces(out, 4, () => isGone);
    await writeFile(filler, Buffer.alloc(megabytes * 2 ** 20)).catch(() => {});
    const full = await running;
    assert.equal(full.code, 73, full.stderr);
    assert.match(full.stderr, /\(DISK_FULL\)/);
    const names = await readdir(small);
    assert.ok(!names.includes("copy.gguf"), names.join(", "));
    await rm(filler);
    const kept = await piecesAt(out);
    assert.ok(kept >= 4, `${kept} pieces are kept`);
    const log = ["--log", "json", "--log-level", "debug"];
    const last = await shoal([...get, ...log]);
    assert.equal(last.code, 0, last.stderr);
    assert.ok((await readFile(out)).equals(bytes));
    assert.equal(logged(last, /^downloading model/, "resumed"), kept);
    assert.deepEqual(await readdir(small), ["copy.gguf"]);
  } finally {
    execFileSync("umount", [small]);
  }
});

test("a node whose transfer thread dies keeps running, and its download continues", async (t) => {
  const { members, at } = await setting(t);
  const trigger = join(members.home, "die");
  const preload = join(members.home, "preload.mjs");
  // In the transfer thread only: an error that nothing catches, once the file is there.
  await writeFile(
    preload,
    `import { existsSync, rmSync } from "node:fs";
     import { isMainThread, workerData } from "node:worker_threads";
     if (!isMainThread && workerData?.store !== undefined) setInterval(() => {
       if (!existsSync(${JSON.stringify(trigger)})) return;
       rmSync(${JSON.stringify(trigger)});
       throw new Error("told to die");
     }, 20).unref();`,
  );
  const node = members.start(
    "node",
    ["node", "--layers", "0-3", "--threads", "1", "--context", "64"].concat(
      at("node"),
    ),
    { execArgv: ["--import", preload] },
  );
  await node.when(
    ({ tag, message }) => tag === "TORRENT" && /: [1-9]\d? %$/.test(message),
    "the middle of a part",
  );
  await writeFile(trigger, "");
  const death = await node.when(
    ({ fields }) => fields.code === "TRANSFER_DIED",
    "the death to be reported",
  );
  assert.equal(death.level, "error");
  await node.whenReady();
  assert.equal(
    node.seen.filter(({ fields }) => fields.code === "TRANSFER_DIED").length,
    1,
  );
});
