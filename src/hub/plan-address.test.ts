/** A model at an `https:` address: kept by its version, and never a mixture of two. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { sha256 } from "../../test/support/hub.ts";
import { refused, scene, SIZE } from "../../test/support/hub-scene.ts";

test("a file at an address is kept by its version, and fetched again once it changes", async (t) => {
  const { hub, model, home, said, fetch } = await scene(t);
  const address = `${hub.storage}/o/r/m-Q4_K_M.gguf?signature=secret`;
  hub.storageFaults.push({}, { cutAfterBytes: 1_200_000 });
  const { path } = await fetch(address);
  assert.ok(
    path.startsWith(join(home, "data/downloads")) &&
      path.endsWith("/m-Q4_K_M.gguf"),
  );
  assert.ok((await readFile(path)).equals(model));
  const etag = `"${sha256(model).slice(0, 32)}"`;
  assert.deepEqual(
    hub.requestsTo("storage").map(({ headers }) => headers["if-range"]),
    [undefined, etag, etag],
  );
  assert.ok(
    said.some((line) => line.includes(`Append #sha256=${sha256(model)} to`)),
  );
  assert.ok(!said.join().includes("secret"));

  const asked = hub.requestsTo("storage").length;
  assert.equal((await fetch(address.replace("secret", "other"))).path, path);
  assert.equal(
    hub.requestsTo("storage").length,
    asked + 1,
    "one byte was asked for",
  );

  const changed = randomBytes(SIZE);
  hub.repos["o/r"]!.files["m-Q4_K_M.gguf"] = changed;
  const again = await fetch(address);
  assert.notEqual(again.path, path);
  assert.ok((await readFile(again.path)).equals(changed));
  await hub.stop();
  assert.equal((await fetch(address)).path, again.path, "without a network");
});

test("an address that changes while it is fetched gives an error, not a mixture", async (t) => {
  const { hub, fetch } = await scene(t);
  hub.storageFaults.push(
    {},
    { cutAfterBytes: 1_200_000 },
    { bytes: randomBytes(SIZE) },
  );
  await assert.rejects(
    fetch(`${hub.storage}/o/r/m-Q4_K_M.gguf`),
    refused("HUB_CHANGED"),
  );
});

test("an address with its checksum is verified", async (t) => {
  const { hub, model, fetch } = await scene(t);
  const address = `${hub.storage}/o/r/m-Q4_K_M.gguf#sha256=`;
  await assert.rejects(
    fetch(address + "0".repeat(64)),
    refused("HUB_CHECKSUM"),
  );
  const { path } = await fetch(address + sha256(model));
  assert.ok((await readFile(path)).equals(model));
});

test("an address of one of several files is the whole model", async (t) => {
  const { hub, fetch } = await scene(t);
  const names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
  for (const name of names) hub.repos["o/r"]!.files[name] = randomBytes(1000);
  const { files } = await fetch(`${hub.storage}/o/r/${names[1]}`);
  assert.deepEqual(
    files.map((file) => basename(file)),
    names,
  );
  assert.equal(new Set(files.map((file) => dirname(file))).size, 1);
});
