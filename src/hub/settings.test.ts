/** The variables of huggingface_hub: where the hub and its cache are, and which token is sent. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { isShoalError } from "../lib/index.ts";
import { hubSettings, isPrivate } from "./settings.ts";

const NOWHERE = { HF_TOKEN_PATH: "/nowhere/token" };

const CACHES: readonly (readonly [NodeJS.ProcessEnv, string])[] = [
  [{}, join(homedir(), ".cache/huggingface/hub")],
  [{ XDG_CACHE_HOME: "/x" }, "/x/huggingface/hub"],
  [{ HF_HOME: "/h", XDG_CACHE_HOME: "/x" }, "/h/hub"],
  [{ HF_HOME: "~/h" }, join(homedir(), "h/hub")],
  [{ HF_HOME: "$BASE/h", BASE: "/b" }, "/b/h/hub"],
  [{ HUGGINGFACE_HUB_CACHE: "/old", HF_HOME: "/h" }, "/old"],
  [{ HF_HUB_CACHE: "/c", HUGGINGFACE_HUB_CACHE: "/old", HF_HOME: "/h" }, "/c"],
  [{ HF_HUB_CACHE: "", HF_HOME: "/h" }, "/h/hub"],
];

for (const [env, cacheDir] of CACHES)
  test(`the cache of ${JSON.stringify(env)} is ${cacheDir}`, async () => {
    const settings = await hubSettings({ ...NOWHERE, ...env });
    assert.equal(settings.cacheDir, cacheDir);
  });

test("the token is the variable's, or the one that another program has stored", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "token"), "hf_stored\n");
  const tokenOf = async (env: NodeJS.ProcessEnv): Promise<unknown> =>
    (await hubSettings(env)).token;
  assert.equal(await tokenOf({ HF_HOME: home }), "hf_stored");
  assert.equal(await tokenOf({ HF_HOME: home, HF_TOKEN: "" }), "hf_stored");
  assert.equal(await tokenOf({ HF_HOME: home, HF_TOKEN: "hf_x" }), "hf_x");
  assert.equal(
    await tokenOf({ HF_TOKEN_PATH: join(home, "token") }),
    "hf_stored",
  );
  assert.equal(await tokenOf(NOWHERE), undefined);
  await writeFile(join(home, "token"), "x".repeat(5000));
  assert.equal(
    await tokenOf({ HF_HOME: home }),
    undefined,
    "no token is so long",
  );
});

test("a token or an endpoint that cannot be one is refused, and the token is not shown", async () => {
  const BAD: readonly NodeJS.ProcessEnv[] = [
    { HF_TOKEN: "secret\r\nX-Header: 1" },
    { HF_TOKEN: "secret with spaces" },
    { HF_ENDPOINT: "ftp://hub" },
    { HF_ENDPOINT: "huggingface.co" },
    { HF_ENDPOINT: "https://user:secret@hub" },
  ];
  for (const env of BAD)
    await assert.rejects(
      hubSettings({ ...NOWHERE, ...env }),
      (error) =>
        isShoalError(error, "USAGE") && !error.message.includes("secret"),
    );
});

test("the endpoint has no slash at its end; offline is said as huggingface_hub takes it", async () => {
  const { endpoint, offline } = await hubSettings({
    ...NOWHERE,
    HF_ENDPOINT: "https://mirror.example/hf//",
    HF_HUB_OFFLINE: "Yes",
  });
  assert.deepEqual([endpoint, offline], ["https://mirror.example/hf", true]);
  const usual = await hubSettings({ ...NOWHERE, HF_HUB_OFFLINE: "0" });
  assert.deepEqual(
    [usual.endpoint, usual.offline],
    ["https://huggingface.co", false],
  );
});

test("only HTTPS, and this machine, are private", () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ["https://hub.example", true],
    ["http://127.0.0.1:80", true],
    ["http://127.1", true],
    ["http://localhost", true],
    ["http://[::1]", true],
    ["http://hub.example", false],
    ["http://127.0.0.1.example", false],
    ["http://localhost.example", false],
    ["http://10.0.0.1", false],
  ];
  for (const [address, expected] of cases)
    assert.equal(isPrivate(new URL(address)), expected, address);
});
