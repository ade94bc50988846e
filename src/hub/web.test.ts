/** What a hub refuses, and who learns the token. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { refused, scene } from "../../test/support/hub-scene.ts";
import type { ErrorCode } from "../lib/index.ts";

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

test("an answer without end is not read to its end", async (t) => {
  const { hub, fetch } = await scene(t);
  for (let i = 0; i < 100; i++)
    hub.repos["o/r"]!.files[`${i}.gguf`] = Buffer.alloc(1);
  await assert.rejects(
    fetch("hf:o/r", { limits: { apiBytes: 5_000 } }),
    refused("HUB_INVALID", /longer than 5000 bytes/),
  );
  await hub.stop();
  const paged = await scene(t, { pageSize: 1 });
  await assert.rejects(
    paged.fetch("hf:o/r", { limits: { apiPages: 1 } }),
    refused("HUB_INVALID", /more than 1 pages/),
  );
});

test("the next page on another host does not get the token", async (t) => {
  const token = "hf_token";
  const { hub, fetch } = await scene(t, { token, pageSize: 1 });
  hub.nextPageAt = hub.storage;
  await assert.rejects(fetch("hf:o/r", { token }), refused("HUB_NOT_FOUND"));
  const [request] = hub.requestsTo("storage");
  assert.ok(
    request !== undefined && request.headers.authorization === undefined,
  );
});

test("paths and checksums of a hostile list are left out", async (t) => {
  const { hub, model, fetch } = await scene(t);
  hub.repos["o/r"]!.files["../../../../m-Q8_0.gguf"] = model;
  await assert.rejects(fetch("hf:o/r:Q8_0"), refused("HUB_CHOICE"));
});

test("without a network it says so", async (t) => {
  const { hub, fetch } = await scene(t);
  await hub.stop();
  await assert.rejects(
    fetch(),
    refused("HUB_UNREACHABLE", /127\.0\.0\.1:\d+: connect ECONNREFUSED/),
  );
});

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

test(
  "a certificate that nobody vouches for is told apart from a network that is down",
  { skip: hasOpenssl ? false : "openssl is not installed" },
  async (t) => {
    const { home, cacheDir, fetch } = await scene(t);
    const certificate = await selfSigned(home);
    const server = createTlsServer(certificate, (_, response) =>
      response.end(),
    );
    await new Promise<void>((resolve) =>
      server.listen(0, "127.0.0.1", resolve),
    );
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const endpoint = `https://127.0.0.1:${port}`;
    const settings = { endpoint, token: undefined, cacheDir, offline: false };
    await assert.rejects(
      fetch("hf:o/r", { settings }),
      refused(
        "HUB_CERTIFICATE",
        /certificate of 127\.0\.0\.1:\d+: self-signed certificate/,
      ),
    );
  },
);

async function selfSigned(
  folder: string,
): Promise<{ key: Buffer; cert: Buffer }> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"];
  const names = ["-subj", "/CN=127.0.0.1", "-keyout", key, "-out", cert];
  await promisify(execFile)("openssl", [...args, ...names]);
  return { key: await readFile(key), cert: await readFile(cert) };
}
