import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { isShoalError, merkleRoot } from "../lib/index.ts";
import { Hasher } from "./hasher.ts";
import { toRoot, verifyPieceLayer } from "./piece-tree.ts";

test("a content is its ranges one after the other, over files and zeros", async (t) => {
  const folder = await temporaryFolder(t);
  const [a, b] = [join(folder, "a"), join(folder, "b")];
  const [first, second] = [randomBytes(5_000_000), randomBytes(4_300_000)];
  await writeFile(a, first);
  await writeFile(b, second);
  await using hasher = new Hasher();
  const metadata = await hasher.hash([
    { path: b, offset: 17, sizeBytes: 4_200_000 },
    { path: "", offset: 0, sizeBytes: 23 },
    { path: a, offset: 0, sizeBytes: 5_000_000 },
    { path: b, offset: 0, sizeBytes: 1 },
  ]);
  const expected = Buffer.concat([
    second.subarray(17, 4_200_017),
    Buffer.alloc(23),
    first,
    second.subarray(0, 1),
  ]);
  assert.equal(metadata.sizeBytes, expected.length);
  assert.equal(metadata.root, toRoot(merkleRoot(expected)));
  verifyPieceLayer(metadata);
  assert.equal(hasher.hashedBytes, expected.length);
});

test("jobs run in parallel: a small one is done long before a large one", async (t) => {
  const folder = await temporaryFolder(t);
  const [large, small] = [join(folder, "large"), join(folder, "small")];
  await writeFile(large, "");
  await truncate(large, 256 * 1024 * 1024);
  await writeFile(small, "small");
  await using hasher = new Hasher();
  const order: string[] = [];
  let reports = 0;
  await Promise.all([
    hasher
      .hash([{ path: large, offset: 0, sizeBytes: 256 * 1024 * 1024 }], {
        onProgress: ({ doneBytes, totalBytes }) => {
          reports++;
          assert.ok(doneBytes <= totalBytes);
        },
      })
      .then(() => order.push("large")),
    hasher
      .hash([{ path: small, offset: 0, sizeBytes: 5 }])
      .then(() => order.push("small")),
  ]);
  assert.deepEqual(order, ["small", "large"]);
  assert.ok(reports > 0);
});

test("a job ends on its signal, at the stop, and if the file is gone or too short", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "file");
  await writeFile(path, "");
  await truncate(path, 1024 * 1024 * 1024);
  const whole = [{ path, offset: 0, sizeBytes: 1024 * 1024 * 1024 }];
  const hasher = new Hasher();
  const controller = new AbortController();
  const aborted = hasher.hash(whole, {
    signal: controller.signal,
    onProgress: () => controller.abort(),
  });
  await assert.rejects(aborted, (e) => isShoalError(e, "ABORTED"));
  await assert.rejects(
    hasher.hash([{ path, offset: 1024 * 1024 * 1024 - 5, sizeBytes: 6 }]),
    (e) => isShoalError(e, "CONTENT_CHANGED"),
  );
  await assert.rejects(
    hasher.hash([{ path: `${path}.gone`, offset: 0, sizeBytes: 6 }]),
    (e) => isShoalError(e, "FILE_NOT_FOUND"),
  );
  const stopped = assert.rejects(hasher.hash(whole), (e) =>
    isShoalError(e, "ABORTED"),
  );
  await hasher.stop();
  await stopped;
  await hasher.stop();
  await assert.rejects(hasher.hash(whole), (e) => isShoalError(e, "ABORTED"));
  assert.equal(hasher.hashedBytes, 0);
});
