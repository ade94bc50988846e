import assert from "node:assert/strict";
import {
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { isShoalError } from "../lib/index.ts";
import { startHost } from "../../test/support/network.ts";
import { loadOrCreateIdentity, newIdentity, verify } from "./identity.ts";

async function keyPath(t: TestContext): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "shoal-identity-"));
  t.after(() => rm(home, { recursive: true, force: true }));
  return join(home, "state", "node.key");
}

test("a key is created once, is readable only by its owner, and stays the same", async (t) => {
  const path = await keyPath(t);
  const made = await loadOrCreateIdentity(path);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(dirname(path)), ["node.key"]);
  assert.deepEqual(await loadOrCreateIdentity(path), made);
});

test("processes that start together end up with one key", async (t) => {
  const path = await keyPath(t);
  const made = await Promise.all(
    Array.from({ length: 8 }, () => loadOrCreateIdentity(path)),
  );
  assert.equal(new Set(made.map(({ peerId }) => peerId)).size, 1);
});

test("a damaged key is named and left alone", async (t) => {
  const path = await keyPath(t);
  await loadOrCreateIdentity(path);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from("not a key"),
    (await newIdentity()).privateKey.subarray(0, 40),
  ]) {
    await writeFile(path, bytes);
    await assert.rejects(
      loadOrCreateIdentity(path),
      (error) =>
        isShoalError(error, "IDENTITY_INVALID") && error.message.includes(path),
    );
    assert.deepEqual(
      new Uint8Array(await readFile(path)),
      new Uint8Array(bytes),
    );
  }
});

test("a folder that cannot be created is an error with the path", async (t) => {
  const path = await keyPath(t);
  await loadOrCreateIdentity(path);
  await assert.rejects(
    loadOrCreateIdentity(join(path, "below-a-file", "node.key")),
    (error) =>
      isShoalError(error, "FILE_UNREADABLE", "FILE_UNWRITABLE") &&
      error.message.includes(path),
  );
});

test("a signature is valid only for its data and its peer", async (t) => {
  const host = await startHost(t, { listen: [] });
  const data = Buffer.from("layers 0 to 4 are mine");
  const signature = await host.sign(data);
  assert.equal(await verify(host.peerId, data, signature), true);
  assert.equal(
    await verify(host.peerId, Buffer.from("layers 0 to 5 are mine"), signature),
    false,
  );
  assert.equal(
    await verify((await newIdentity()).peerId, data, signature),
    false,
  );
  assert.equal(await verify("nobody", data, signature), false);
  assert.equal(await verify(host.peerId, data, signature.subarray(1)), false);
});
