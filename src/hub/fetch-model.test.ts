/** Models fetched from a hub that answers as the real one does: resumed, verified, shared with other programs, refused with a reason. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { temporaryFolder } from "../../test/support/folder.ts";
import {
  sha256,
  TestHub,
  type TestHubOptions,
} from "../../test/support/hub.ts";
import { DEMO_MODEL } from "../../test/support/swarm.ts";
import { until } from "../../test/support/until.ts";
import { type GgufModel, uintOf } from "../gguf/index.ts";
import {
  type ErrorCode,
  Events,
  isShoalError,
  ShoalError,
} from "../lib/index.ts";
import {
  type FetchContext,
  fetchModel,
  type FoundModel,
} from "./fetch-model.ts";

const SIZE = 3_000_000;
const FAST = { retryInitialMs: 5, retryMaxMs: 20, waitMs: 20 };

interface Scene {
  hub: TestHub;
  model: Buffer;
  home: string;
  cacheDir: string;
  /** What was said. */
  said: string[];
  fetch: (
    reference?: string,
    context?: Partial<FetchContext> & { token?: string; offline?: boolean },
  ) => Promise<FoundModel>;
  /** Files of the repository's blobs. */
  blobs: () => Promise<string[]>;
}

async function scene(
  t: TestContext,
  options: TestHubOptions = {},
): Promise<Scene> {
  const hub = await TestHub.start(t, options);
  const home = await temporaryFolder(t);
  const model = randomBytes(SIZE);
  hub.repos["o/r"] = {
    files: { "README.md": Buffer.from("#"), "m-Q4_K_M.gguf": model },
  };
  const cacheDir = join(home, "cache");
  const said: string[] = [];
  const events = new Events();
  events.subscribe(({ message }) => said.push(message));
  return {
    hub,
    model,
    home,
    cacheDir,
    said,
    fetch: (
      reference = "hf:o/r",
      { token, offline = false, ...context } = {},
    ) =>
      fetchModel(reference, {
        events,
        paths: { data: join(home, "data") },
        signal: AbortSignal.timeout(60_000),
        settings: { endpoint: hub.endpoint, token, cacheDir, offline },
        ...context,
        limits: { ...FAST, ...context.limits },
      }),
    blobs: () => readdir(join(cacheDir, "models--o--r/blobs")).catch(() => []),
  };
}

const refused =
  (code: ErrorCode, message = /./) =>
  (error: unknown): boolean => {
    assert.ok(isShoalError(error, code), String(error));
    assert.match(error.message, message);
    return true;
  };

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

/** A download that stands at 1,000,000 bytes, and its end. */
async function halfDone(at: Scene): Promise<{ stop: () => Promise<void> }> {
  const { hub, model, cacheDir, fetch } = at;
  hub.storageFaults.push({ stallAfterBytes: 1_000_000 });
  const stop = new AbortController();
  const running = fetch("hf:o/r", { signal: stop.signal });
  running.catch(() => {});
  const folder = join(cacheDir, "models--o--r/blobs");
  await until("a million bytes to be there", async () => {
    for (const name of await readdir(folder).catch(() => [])) {
      const found = await lstat(join(folder, name)).catch(() => undefined);
      if (name.startsWith(sha256(model)) && found?.size === 1_000_000)
        return true;
    }
    return false;
  });
  return {
    stop: async () => {
      stop.abort();
      await assert.rejects(running, refused("ABORTED"));
    },
  };
}

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

test("a silent connection is given up and another one continues", async (t) => {
  const at = await scene(t);
  at.hub.storageFaults.push({ stallAfterBytes: 1_000_000 });
  const { path } = await at.fetch("hf:o/r", { limits: { stallMs: 200 } });
  assert.ok((await readFile(path)).equals(at.model));
  assert.ok(at.said.some((line) => line.includes("sent nothing for 200 ms")));
});

test("the token goes to the hub and to nobody else, and stands in no message", async (t) => {
  const token = "hf_secretsecretsecretsecretsecretsecret";
  const { hub, fetch, said } = await scene(t, { token });
  hub.repos["o/r"]!.gated = true;
  await assert.rejects(
    fetch(),
    refused(
      "HUB_DENIED",
      /^o\/r is gated: accept its terms on its page, http.*\/o\/r, and set HF_TOKEN$/,
    ),
  );
  await assert.rejects(
    fetch("hf:o/r", { token: "hf_wrong" }),
    refused("HUB_DENIED", /for this token/),
  );
  await fetch("hf:o/r", { token });
  const seen = hub.requestsTo("hub").slice(-3);
  assert.ok(
    seen.every(({ headers }) => headers.authorization === `Bearer ${token}`),
  );
  const storage = hub.requestsTo("storage");
  assert.ok(storage.length > 0);
  for (const { headers } of storage)
    assert.equal(headers.authorization, undefined);
  assert.ok(!said.join().includes(token) && !said.join().includes("Signature"));
});

test("what the hub refuses has a code and says what to do", async (t) => {
  const { hub, fetch } = await scene(t, { token: "hf_x" });
  hub.repos["o/private"] = { files: {}, private: true };
  const CASES: readonly (readonly [string, ErrorCode, RegExp])[] = [
    [
      "hf:o/none",
      "HUB_NOT_FOUND",
      /there is no o\/none, or it is private and needs HF_TOKEN/,
    ],
    ["hf:o/private", "HUB_NOT_FOUND", /private/],
    ["hf:o/r@v9", "HUB_NOT_FOUND", /o\/r has no such revision/],
    ["hf:o/r:Q8_0", "HUB_CHOICE", /There is: Q4_K_M \(2\.86 MiB\)/],
    ["hf:o/r/x.gguf", "HUB_CHOICE", /o\/r has no x\.gguf/],
  ];
  for (const [reference, code, message] of CASES)
    await assert.rejects(fetch(reference), refused(code, message));
  assert.equal(hub.requestsTo("storage").length, 0);
});

test("a rate limit is waited for if it is short, and told if it is long", async (t) => {
  const { hub, fetch, said } = await scene(t);
  hub.hubFaults.push(
    { status: 429, headers: { "retry-after": "0" } },
    { status: 503 },
  );
  await fetch();
  assert.ok(said.some((line) => line.includes("has had too many requests")));
  hub.repos["o/r"]!.files["m-Q8_0.gguf"] = randomBytes(10);
  hub.hubFaults.push({ status: 429, headers: { "retry-after": "3600" } });
  await assert.rejects(
    fetch("hf:o/r:Q8_0"),
    refused("HUB_RATE_LIMITED", /again in 3600\.0 s/),
  );
  hub.storageFault = { status: 429, headers: { "retry-after": "3600" } };
  await assert.rejects(fetch("hf:o/r:Q8_0"), refused("HUB_RATE_LIMITED"));
});

test("an answer that is not the hub's is refused", async (t) => {
  const { hub, fetch } = await scene(t);
  hub.hubFaults.push({ status: 200, headers: { "content-type": "text/html" } });
  await assert.rejects(fetch(), refused("HUB_INVALID", /not JSON/));
  hub.hubFaults.push({ status: 302, headers: { location: "ftp://x/" } });
  await assert.rejects(fetch(), refused("HUB_INVALID", /redirects/));
  const round = { status: 302, headers: { location: "/again" } };
  for (let i = 0; i < 6; i++) hub.hubFaults.push(round);
  await assert.rejects(fetch(), refused("HUB_INVALID", /more than 5 times/));
});

test("paths and checksums of a hostile list are left out", async (t) => {
  const { hub, model, fetch } = await scene(t);
  hub.repos["o/r"]!.files["../../../../m-Q8_0.gguf"] = model;
  await assert.rejects(fetch("hf:o/r:Q8_0"), refused("HUB_CHOICE"));
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

test("no network, and a certificate of nobody, are told apart", async (t) => {
  const { home, hub } = await scene(t);
  await hub.stop();
  const context = (endpoint: string): FetchContext => ({
    events: new Events(),
    paths: { data: home },
    signal: AbortSignal.timeout(60_000),
    settings: { endpoint, token: undefined, cacheDir: home, offline: false },
    limits: FAST,
  });
  await assert.rejects(
    fetchModel("hf:o/r", context(hub.endpoint)),
    refused("HUB_UNREACHABLE", /127\.0\.0\.1:\d+: connect ECONNREFUSED/),
  );
  const { key, cert } = await selfSigned(home);
  const server = createTlsServer({ key, cert }, (_, response) =>
    response.end(),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  await assert.rejects(
    fetchModel("hf:o/r", context(`https://127.0.0.1:${port}`)),
    refused(
      "HUB_CERTIFICATE",
      /certificate of 127\.0\.0\.1:\d+: self-signed certificate/,
    ),
  );
});

async function selfSigned(
  folder: string,
): Promise<{ key: Buffer; cert: Buffer }> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"];
  const names = ["-subj", "/CN=127.0.0.1", "-keyout", key, "-out", cert];
  await promisify(execFile)("openssl", [...args, ...names]);
  return { key: await readFile(key), cert: await readFile(cert) };
}
