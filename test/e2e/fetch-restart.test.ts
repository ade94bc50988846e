/** A node that is killed while it downloads its shard continues where it was, however often that happens. */
import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { seeded } from "../support/seeded.ts";
import { totalsOf } from "../support/spread.ts";
import { until } from "../support/until.ts";

/** Parts that are there whole when it is killed. */
const KILLED_AT = [1, 2, 4];
/** Slow enough that a part takes longer than the look at it. */
const UPLOAD_LIMIT = 4_000_000;

test("a node killed while it downloads its shard downloads no part twice", async (t) => {
  const { members, at } = await seeded(t, 2, UPLOAD_LIMIT);
  const node = [
    "node",
    "--layers",
    "0-3",
    "--threads",
    "1",
    "--context",
    "64",
    ...at("node"),
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
    /^downloading \d+ parts$/.test(message),
  );
  const { downloaded } = await totalsOf(last);
  const missing = Number(wanted?.fields["sizeBytes"]) - bytes;
  assert.ok(downloaded <= missing, `${downloaded} bytes for ${missing}`);
});
