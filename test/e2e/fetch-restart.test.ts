/** A node that is killed while it fetches its shard goes on where it was, as often as that happens. */
import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Members } from "../support/member.ts";
import { writeRandomModel } from "../support/models.ts";
import { totalsOf } from "../support/spread.ts";
import { until } from "../support/until.ts";

/** 33 MiB. */
const MODEL = {
  layers: 4,
  embeddingLength: 512,
  heads: 8,
  kvHeads: 4,
  feedForward: 736,
  vocabSize: 1024,
  vocab: "bytes",
} as const;
/** Parts that are there whole when it is killed. */
const KILLED_AT = [1, 2, 4];
/** Slow enough that a part takes longer than the look at it. */
const UPLOAD_LIMIT = 4_000_000;

test("a node killed while it fetches its shard fetches no part twice", async (t) => {
  const members = await Members.of(t);
  const model = join(members.home, "model.gguf");
  await writeRandomModel(model, MODEL);
  const rendezvous = await members.rendezvous();
  const limit = ["--upload-limit", String(UPLOAD_LIMIT)];
  const seeder = members.start("seeder", [
    "seed",
    model,
    "--shards",
    "2",
    ...limit,
    ...members.at(rendezvous, "seeder"),
  ]);
  await seeder.whenReady();
  const node = [
    "node",
    "--layers",
    "0-3",
    "--threads",
    "1",
    "--context",
    "64",
    ...members.at(rendezvous, "node"),
  ];
  const models = join(members.home, "node/data/models");
  const whole = async (): Promise<string[]> => {
    const files = await readdir(models, { recursive: true }).catch(() => []);
    return files.filter(
      (file) =>
        /\/parts\/[\w.]*$/.test(file) && !/\.(part|state|tmp)$/.test(file),
    );
  };
  let bytes = 0;
  for (const [run, count] of KILLED_AT.entries()) {
    const killed = members.start(`run ${run}`, node);
    await until(
      `${count} parts`,
      async () => (await whole()).length >= count,
      5,
    );
    await killed.kill();
    const sizes = await Promise.all(
      (await whole()).map((file) => stat(join(models, file))),
    );
    bytes = sizes.reduce((sum, { size }) => sum + size, 0);
  }
  assert.ok(bytes > 0);
  const last = members.start("last run", node);
  await last.whenReady();
  const wanted = last.seen.find(({ message }) =>
    /^fetching \d+ parts$/.test(message),
  );
  const { downloaded } = await totalsOf(last);
  const missing = Number(wanted?.fields["sizeBytes"]) - bytes;
  assert.ok(downloaded <= missing, `${downloaded} bytes for ${missing}`);
});
