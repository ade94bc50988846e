/** A download that is cut, stopped, killed or given wrong bytes: it goes on where it was, or is refused with a reason. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sha256, type StorageFault } from "../../test/support/hub.ts";
import type { ErrorCode } from "../lib/index.ts";
import {
  halfDone,
  refused,
  scene,
  SIZE,
} from "../../test/support/hub-scene.ts";
import { until } from "../../test/support/until.ts";

test("a connection that breaks is continued: no byte is sent twice", async (t) => {
  const { hub, model, fetch } = await scene(t);
  hub.storageFaults.push(
    { cutAfterBytes: 1_200_000 },
    { cutAfterBytes: 1_100_000 },
  );
  const { path } = await fetch();
  assert.ok((await readFile(path)).equals(model));
  const sent = hub.requestsTo("storage");
  assert.equal(sent.length, 3);
  assert.equal(sent[0]!.headers.range, "bytes=0-");
  const starts = sent.map(({ headers }) =>
    Number(/\d+/.exec(headers.range!)![0]),
  );
  // What was on its way when the connection broke is lost: some of it never arrived.
  for (const [i, { sentBytes }] of sent.slice(0, 2).entries()) {
    const got = starts[i + 1]! - starts[i]!;
    assert.ok(
      got > sentBytes / 2 && got <= sentBytes,
      `${got} of ${sentBytes}`,
    );
  }
});

test("a download that is stopped is kept, and the next one goes on from there", async (t) => {
  const at = await scene(t);
  const { hub, model, fetch, blobs, said } = at;
  await (await halfDone(at)).stop();
  assert.match(
    said.at(-1)!,
    /^stopped: 976\.6 KiB of 2\.86 MiB are kept; the same command goes on from there$/,
  );
  assert.deepEqual(await blobs(), [`${sha256(model)}.shoal.incomplete`]);
  const { path } = await fetch();
  assert.ok((await readFile(path)).equals(model));
  assert.ok(
    said.some((line) => line.endsWith("; 976.6 KiB of it are here already")),
  );
  const last = hub.requestsTo("storage").at(-1)!;
  assert.equal(last.headers.range, "bytes=1000000-");
  assert.equal(last.sentBytes, SIZE - 1_000_000);
  assert.deepEqual(await blobs(), [sha256(model)]);
});

test("what a killed process left under its name is continued", async (t) => {
  const { hub, model, cacheDir, fetch, blobs } = await scene(t);
  const folder = join(cacheDir, "models--o--r/blobs");
  await mkdir(folder, { recursive: true });
  const host = createHash("sha256")
    .update(hostname())
    .digest("hex")
    .slice(0, 8);
  // A process id that Linux never gives.
  const left = `${sha256(model)}.${host}-${2 ** 22 + 1}-00000000.shoal.incomplete`;
  await writeFile(join(folder, left), model.subarray(0, 2_000_000));
  const { path } = await fetch();
  assert.ok((await readFile(path)).equals(model));
  const [request] = hub.requestsTo("storage");
  assert.equal(request!.headers.range, "bytes=2000000-");
  assert.deepEqual(await blobs(), [sha256(model)]);
});

test("bytes that were kept and are wrong are fetched again, once", async (t) => {
  const { hub, model, cacheDir, fetch } = await scene(t);
  const folder = join(cacheDir, "models--o--r/blobs");
  await mkdir(folder, { recursive: true });
  const left = join(folder, `${sha256(model)}.shoal.incomplete`);
  await writeFile(left, randomBytes(2_000_000));
  const { path } = await fetch();
  assert.ok((await readFile(path)).equals(model));
  assert.deepEqual(
    hub.requestsTo("storage").map(({ headers }) => headers.range),
    ["bytes=2000000-", "bytes=0-"],
  );
});

test("wrong bytes are refused, and nothing of them is left", async (t) => {
  const { hub, fetch, blobs, cacheDir } = await scene(t);
  hub.storageFault = { bytes: randomBytes(SIZE) };
  await assert.rejects(
    fetch(),
    refused(
      "HUB_CHECKSUM",
      /^m-Q4_K_M\.gguf: the bytes from 127\.0\.0\.1:\d+ have/,
    ),
  );
  assert.deepEqual(await blobs(), []);
  const snapshots = join(cacheDir, "models--o--r/snapshots");
  assert.deepEqual(await readdir(snapshots).catch(() => []), []);
});

test("a server without ranges sends it from the start; its beginning is not joined to what was there", async (t) => {
  const { hub, model, fetch } = await scene(t);
  hub.storageFaults.push(
    { cutAfterBytes: 1_500_000 },
    { ignoreRange: true, cutAfterBytes: 2_000_000 },
    { ignoreRange: true },
  );
  assert.ok((await readFile((await fetch()).path)).equals(model));
});

test("a server that always starts again and never ends is given up", async (t) => {
  const { hub, fetch } = await scene(t);
  hub.storageFault = { ignoreRange: true, cutAfterBytes: 2_000_000 };
  await assert.rejects(fetch(), refused("HUB_UNREACHABLE"));
  assert.ok(hub.requestsTo("storage").length <= 8);
});

test("a file that the hub replaces meanwhile is not fetched under the old name", async (t) => {
  const { hub, fetch } = await scene(t);
  hub.linkedEtag = "f".repeat(64);
  await assert.rejects(fetch(), refused("HUB_CHANGED"));
  hub.linkedEtag = undefined;
  hub.storageFault = { bytes: randomBytes(SIZE + 1) };
  await assert.rejects(fetch(), refused("HUB_CHANGED", /has 3000001 bytes/));
});

const LIES: readonly (readonly [string, StorageFault, ErrorCode])[] = [
  [
    "more bytes than the file has",
    {
      ignoreRange: true,
      headers: { "content-length": undefined },
      bytes: randomBytes(SIZE + 9),
    },
    "HUB_INVALID",
  ],
  [
    "compressed bytes",
    { headers: { "content-encoding": "gzip" } },
    "HUB_INVALID",
  ],
  [
    "another range",
    { headers: { "content-range": `bytes 5-${SIZE - 1}/${SIZE}` } },
    "HUB_INVALID",
  ],
  [
    "a range of another file",
    { headers: { "content-range": `bytes 0-${SIZE}/${SIZE + 1}` } },
    "HUB_CHANGED",
  ],
  ["no range", { headers: { "content-range": "bytes" } }, "HUB_INVALID"],
  ["no file", { status: 404 }, "HUB_NOT_FOUND"],
  ["416", { status: 416 }, "HUB_INVALID"],
];

for (const [what, fault, code] of LIES)
  test(`a storage that sends ${what} is refused: ${code}`, async (t) => {
    const { hub, fetch, blobs } = await scene(t);
    hub.storageFault = fault;
    await assert.rejects(fetch(), refused(code));
    assert.deepEqual(
      (await blobs()).filter((name) => !name.endsWith(".incomplete")),
      [],
    );
  });

test("a silent connection is given up and another one continues", async (t) => {
  const at = await scene(t);
  at.hub.storageFaults.push({ stallAfterBytes: 1_000_000 });
  const { path } = await at.fetch("hf:o/r", { limits: { stallMs: 200 } });
  assert.ok((await readFile(path)).equals(at.model));
  assert.ok(at.said.some((line) => line.includes("sent nothing for 200 ms")));
});

test("two at once fetch it once", async (t) => {
  const at = await scene(t);
  const first = await halfDone(at);
  const second = at.fetch();
  await until("the second to wait", () =>
    Promise.resolve(
      at.said.some((line) => line.includes("another process is fetching it")),
    ),
  );
  await first.stop();
  assert.ok((await readFile((await second).path)).equals(at.model));
  const last = at.hub.requestsTo("storage").at(-1)!;
  assert.equal(
    last.headers.range,
    "bytes=1000000-",
    "it took over what was there",
  );
});
