import assert from "node:assert/strict";
import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Story } from "../../../test/fakes/gateway.ts";
import { HandClock } from "../../../test/support/clock.ts";
import { temporaryFolder } from "../../../test/support/folder.ts";
import type { ShoalError } from "../../lib/index.ts";
import { hashOf, parseKeys, readKeysFile } from "./keys-file.ts";
import { Keys } from "./keys.ts";

const ALICE = "sk-alice-0123456789";
const BOB = "sk-bob-0123456789abc";

test("a file is YAML or JSON; a key may be there as its hash", () => {
  const yaml = `
# our keys
keys:
  - name: alice
    key: ${ALICE}
    requestsPerMinute: 60
    tokensPerMinute: 20000
    sessions: 2
    models: [Shoal demo, other/model]
  - name: bob
    sha256: ${hashOf(BOB).toString("hex").toUpperCase()}
`;
  const entries = parseKeys(yaml, "keys.yaml");
  assert.deepEqual(entries, [
    {
      name: "alice",
      hash: hashOf(ALICE),
      limits: {
        requestsPerMinute: 60,
        tokensPerMinute: 20_000,
        sessions: 2,
        models: ["Shoal demo", "other/model"],
      },
    },
    { name: "bob", hash: hashOf(BOB), limits: {} },
  ]);
  const json = JSON.stringify({ keys: [{ name: "alice", key: ALICE }] });
  assert.deepEqual(parseKeys(json, "keys.json"), [
    { name: "alice", hash: hashOf(ALICE), limits: {} },
  ]);
});

const key = (fields: string): string =>
  `keys:\n  - name: a\n    key: ${ALICE}\n${fields}`;

for (const [what, content, said] of [
  ["nothing", "", /the file must be an object$/],
  ["no list", "keys: 1", /keys must be a list$/],
  ["an empty list", "keys: []", /keys must have a key$/],
  [
    "another field",
    `${key("")}\nmore: 1`,
    /the file has an unknown field: more$/,
  ],
  [
    "a misspelt limit",
    key("    request_per_minute: 1"),
    /keys\[0\] has an unknown field: request_per_minute$/,
  ],
  [
    "a limit of 0",
    key("    sessions: 0"),
    /keys\[0\]\.sessions must be a whole number from 1 to 10000$/,
  ],
  [
    "a limit in words",
    key("    sessions: many"),
    /keys\[0\]\.sessions must be a whole number/,
  ],
  ["no models", key("    models: []"), /keys\[0\]\.models must name a model/],
  [
    "models that are no list",
    key("    models: a"),
    /keys\[0\]\.models must be a list of names$/,
  ],
  ["no name", `keys:\n  - key: ${ALICE}`, /keys\[0\]\.name must be text$/],
  [
    "no key",
    "keys:\n  - name: a",
    /keys\[0\] must have either `key` or `sha256`$/,
  ],
  [
    "a key and its hash",
    key(`    sha256: ${"a".repeat(64)}`),
    /keys\[0\] must have either/,
  ],
  [
    "a hash of another length",
    "keys:\n  - name: a\n    sha256: abc",
    /keys\[0\]\.sha256 must be 64 hex digits$/,
  ],
  [
    "a key that can be guessed",
    "keys:\n  - name: a\n    key: sesame",
    /keys\[0\]\.key must have at least 16 characters$/,
  ],
  [
    "a key that is no word",
    'keys:\n  - name: a\n    key: "0123456789 0123456789"',
    /keys\[0\]\.key must be ASCII without spaces$/,
  ],
  [
    "a name twice",
    `${key("")}\n  - name: a\n    key: ${BOB}`,
    /two keys are named a$/,
  ],
  [
    "a key twice",
    `${key("")}\n  - name: b\n    key: ${ALICE}`,
    /a and b have the same key$/,
  ],
  [
    "no YAML",
    `keys:\n  - name: a\n key: ${ALICE}\n`,
    /it is neither JSON nor YAML at line 3$/,
  ],
  [
    "a field twice",
    key("    name: b"),
    /it is neither JSON nor YAML at line \d$/,
  ],
  [
    "aliases",
    `keys: &k\n  - name: a\n    key: ${ALICE}\nmore: *k`,
    /it is neither JSON nor YAML/,
  ],
] as const) {
  test(`${what}: USAGE, which says where and quotes no key`, () => {
    assert.throws(
      () => parseKeys(content, "keys.yaml"),
      (error: ShoalError) => {
        assert.equal(error.code, "USAGE");
        assert.match(error.message, /^the keys in keys\.yaml are wrong: /);
        assert.match(error.message, said);
        assert.doesNotMatch(error.message, /sk-|sesame/);
        return true;
      },
    );
  });
}

test("a file that is not there, or far too large", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "keys");
  await assert.rejects(readKeysFile(path), { code: "FILE_NOT_FOUND" });
  await writeFile(path, "#".repeat(1024 * 1024 + 1));
  await assert.rejects(readKeysFile(path), /more than 1048576 bytes/);
});

test("the file is read again when it changes; a wrong one leaves the keys as they were, and says so once", async (t) => {
  const path = join(await temporaryFolder(t), "keys.yaml");
  const put = async (content: string): Promise<void> => {
    await writeFile(`${path}.new`, content, { mode: 0o600 });
    await rename(`${path}.new`, path);
  };
  await put(key("    sessions: 1"));
  const story = new Story();
  const clock = new HandClock();
  const keys = await Keys.open(path, { clock, events: story.events });
  t.after(() => keys.stop());
  const alice = keys.find(ALICE);
  assert.equal(alice?.name, "a");
  assert.equal(keys.find(BOB), undefined);
  const told = async (message: RegExp): Promise<void> => {
    for (;;) {
      const at = story.told.findIndex((event) => message.test(event.message));
      if (at >= 0) {
        story.told.splice(at, 1);
        return;
      }
      await clock.pass(2_000);
      await new Promise(setImmediate); // the file is read meanwhile
    }
  };

  await put(`${key("")}\n  - name: b\n    key: ${BOB}`);
  await told(/^the API keys were read again$/);
  assert.equal(keys.find(BOB)?.name, "b");
  assert.equal(keys.find(ALICE), alice, "it has what it used");

  await put("keys: nonsense");
  await told(/keys must be a list; those from before stay in use$/);
  await rm(path);
  await told(/does not exist; those from before stay in use$/);
  assert.equal(keys.find(BOB)?.name, "b");
  for (let i = 0; i < 20; i++) {
    await clock.pass(2_000);
    await new Promise((resolve) => setTimeout(resolve, 1)); // it looks
  }
  assert.deepEqual(story.told, []);

  await put(`keys:\n  - name: b\n    key: ${BOB}`);
  await told(/^the API keys were read again$/);
  assert.equal(keys.find(ALICE), undefined, "it was taken away");
  await chmod(path, 0o644);
  await told(/^other users of this machine can read the API keys: chmod 600 /);
});
