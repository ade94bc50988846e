/** One copy over the seeder's uplink: nodes that want different parts download each once, nodes that want the same feed each other. */
import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Members } from "../support/member.ts";
import { writeRandomModel } from "../support/models.ts";
import { SMALL_MODEL } from "../support/seeded.ts";
import { spread } from "../support/spread.ts";

/** 64 MiB: eight layers of 7.3, embedding and output of 2. */
const MODEL = { ...SMALL_MODEL, layers: 8 };
const NODES = 4;
/** An uplink, so that there is time to hear of the others: as long as a small model takes, or a large one over a fast line. */
const UPLOAD_LIMIT = 2_500_000;

test("four nodes that download a quarter each take little more than the model from its seeder", async (t) => {
  const members = await Members.of(t);
  const model = join(members.home, "model.gguf");
  await writeRandomModel(model, MODEL);
  const { size } = await stat(model);
  const result = await spread({
    members,
    model,
    shards: NODES,
    wanted: [0, 1, 2, 3],
  });
  const ratio = result.seederUploadBytes / size;
  assert.ok(ratio <= 1.1, `${ratio} × the model`);
  assert.ok(ratio > 0.9, `${ratio} × the model: they came from the seeder`);
});

test("four nodes that want the same shard take it at most twice from its seeder", async (t) => {
  const members = await Members.of(t);
  const model = join(members.home, "model.gguf");
  await writeRandomModel(model, MODEL);
  const result = await spread({
    members,
    model,
    shards: NODES,
    wanted: [1, 1, 1, 1],
    uploadLimit: UPLOAD_LIMIT,
  });
  const [shard = 0] = result.wantedBytes;
  assert.ok(shard > 14 * 2 ** 20, `${shard} bytes are a shard`);
  const ratio = result.seederUploadBytes / shard;
  assert.ok(ratio <= 2, `${ratio} × the shard`);
  const fed = result.nodeUploadBytes.reduce((a, b) => a + b, 0);
  assert.ok(fed >= 2 * shard, `${fed} bytes from each other`);
});
