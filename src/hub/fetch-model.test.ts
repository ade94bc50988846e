/** Models fetched from a hub that answers as the real one does: found, verified, kept where other programs find them. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  lstat,
  mkdir,
  readFile,
  readlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { sha256 } from "../../test/support/hub.ts";
import { refused, scene, SIZE } from "../../test/support/hub-scene.ts";
import { DEMO_MODEL } from "../../test/support/swarm.ts";
import { uintOf, type GgufModel } from "../gguf/index.ts";
import { ShoalError } from "../lib/index.ts";

test("a model is fetched, verified and kept as other programs keep it", async (t) => {
  const { hub, model, cacheDir, said, fetch } = await scene(t);
  const { path } = await fetch();
  const commit = hub.commitOf("o/r");
  const folder = join(cacheDir, "models--o--r");
  assert.equal(path, join(folder, "snapshots", commit, "m-Q4_K_M.gguf"));
  assert.ok((await readFile(path)).equals(model));
  assert.equal(await readlink(path), `../../blobs/${sha256(model)}`);
  assert.equal(await readFile(join(folder, "refs/main"), "utf8"), commit);
  assert.match(
    said[0]!,
    /^o\/r \(commit [0-9a-f]{7}\): fetching m-Q4_K_M\.gguf, 2\.86 MiB, into .*cache, where .* are free$/,
  );
  assert.equal(said.at(-1), "m-Q4_K_M.gguf is complete and verified");
});

test("the second time nothing is fetched, and without a network the cache is used", async (t) => {
  const { hub, fetch, said } = await scene(t);
  const first = await fetch();
  const fetched = hub.requestsTo("storage").length;
  assert.equal((await fetch()).path, first.path);
  assert.equal(hub.requestsTo("storage").length, fetched);
  const asked = hub.requests.length;
  assert.equal((await fetch("hf:o/r", { offline: true })).path, first.path);
  const exact = `hf:o/r@${hub.commitOf("o/r")}/m-Q4_K_M.gguf`;
  assert.equal((await fetch(exact)).path, first.path);
  assert.equal(hub.requests.length, asked, "the hub was not asked");
  await hub.stop();
  assert.equal((await fetch()).path, first.path);
  assert.ok(
    said.some((line) => line.endsWith("using what is in the hub's cache")),
  );
  await assert.rejects(
    fetch("hf:o/r:Q8_0", { offline: true }),
    refused("HUB_OFFLINE"),
  );
  await assert.rejects(fetch("hf:o/r:Q8_0"), refused("HUB_UNREACHABLE"));
});

test("a model in several files in a folder comes whole, and its list in pages", async (t) => {
  const { hub, fetch } = await scene(t, { pageSize: 2 });
  const name = (n: number): string => `Q8_0/m-Q8_0-0000${n}-of-00003.gguf`;
  for (const n of [1, 2, 3])
    hub.repos["o/r"]!.files[name(n)] = randomBytes(n * 1000);
  const { path, files } = await fetch("hf:o/r:q8_0");
  assert.ok(path.endsWith(name(1)));
  for (const [i, file] of files.entries()) {
    assert.equal(dirname(file), dirname(path), "where the reader looks for it");
    assert.ok(
      (await readFile(file)).equals(hub.repos["o/r"]!.files[name(i + 1)]!),
    );
  }
  assert.match(await readlink(path), /^\.\.\/\.\.\/\.\.\/blobs\//);
});

test("a file outside LFS is verified by git's checksum", async (t) => {
  const { hub, fetch } = await scene(t);
  const bytes = randomBytes(5_000);
  hub.repos["o/r"]!.files["small.gguf"] = bytes;
  const { path } = await fetch("hf:o/r/small.gguf");
  assert.ok((await readFile(path)).equals(bytes));
  assert.match(await readlink(path), /\/[0-9a-f]{40}$/);
  hub.repos["o/r"]!.files["small-2.gguf"] = bytes.subarray(1);
  hub.storageFault = { bytes: bytes.subarray(0, -1) };
  await assert.rejects(fetch("hf:o/r/small-2.gguf"), refused("HUB_CHECKSUM"));
});

test("what does not fit on the disk is refused before a byte is fetched", async (t) => {
  const { hub, model, fetch, said } = await scene(t);
  hub.sizeOf = () => 2 ** 39;
  await assert.rejects(fetch(), refused("DISK_FULL", /512\.0 GiB are needed/));
  assert.match(said[0]!, /fetching m-Q4_K_M\.gguf, 512\.0 GiB/);
  assert.equal(hub.requestsTo("storage").length, 0);
  assert.equal(model.length, SIZE);
});

test("a model that cannot be served is refused by its header, before the rest is fetched", async (t) => {
  const { hub, fetch } = await scene(t);
  hub.repos["o/demo"] = { files: { "demo.gguf": await readFile(DEMO_MODEL) } };
  const check = ({ metadata }: GgufModel): void => {
    assert.equal(uintOf(metadata, "llama.block_count"), 8);
    throw new ShoalError("MODEL_ARCHITECTURE", "no");
  };
  await assert.rejects(
    fetch("hf:o/demo", { check, limits: { headerReadBytes: 64 * 1024 } }),
    refused("MODEL_ARCHITECTURE"),
  );
  const sent = hub
    .requestsTo("storage")
    .reduce((sum, r) => sum + r.sentBytes, 0);
  assert.ok(sent > 0 && sent < 1_000_000, `${sent} bytes were sent`);
});

test("a file that another program has put into the cache is used", async (t) => {
  const { hub, model, cacheDir, fetch } = await scene(t);
  const folder = join(cacheDir, "models--o--r");
  const snapshot = join(folder, "snapshots", hub.commitOf("o/r"));
  await mkdir(join(folder, "blobs"), { recursive: true });
  await writeFile(join(folder, "blobs", sha256(model)), model);
  // Of an older commit: the blob is there, its name in this commit is not.
  assert.ok((await readFile((await fetch()).path)).equals(model));
  assert.ok((await lstat(join(snapshot, "m-Q4_K_M.gguf"))).isSymbolicLink());
  assert.equal(hub.requestsTo("storage").length, 0);
});

test("a blob that is cut short is not used", async (t) => {
  const { model, cacheDir, fetch } = await scene(t);
  const blob = join(cacheDir, "models--o--r/blobs", sha256(model));
  await fetch();
  await truncate(blob, 1000);
  assert.ok((await readFile((await fetch()).path)).equals(model));
});

test("where links are not possible the file itself lies in the commit", async (t) => {
  const { hub, model, fetch, blobs } = await scene(t);
  const link = (): Promise<void> => Promise.reject(new Error("EPERM"));
  const { path } = await fetch("hf:o/r", { link });
  assert.ok((await lstat(path)).isFile());
  assert.ok((await readFile(path)).equals(model));
  assert.deepEqual(await blobs(), [], "not twice on the disk");
  await fetch("hf:o/r", { link });
  assert.equal(hub.requestsTo("storage").length, 1);
});
