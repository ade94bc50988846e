/** What `seed`, `get`, `torrents` and `node` print about weights, and how they end. */
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { shoal } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { Members } from "../support/member.ts";
import { DEMO_MODEL } from "../support/swarm.ts";
import { until } from "../support/until.ts";

test("impossible requests are refused before anything is read or dialled", async (t) => {
  const home = await temporaryFolder(t);
  const at = ["--cluster", "c", "--bootstrap", "127.0.0.1:1", "--home", home];
  const seed = ["seed", DEMO_MODEL, ...at];
  const cases: readonly (readonly [string[], number, RegExp])[] = [
    [
      [...seed, "--shards", "9"],
      64,
      /a model of 8 layers can be cut into 1 to 8 shards, not 9 \(MODEL_SHARDS\)/,
    ],
    [
      [...seed, "--shards", "2", "--origin", "http://a/1,http://a/2"],
      64,
      /one URL per file of the model: it has 2, the model 1 \(USAGE\)/,
    ],
    [
      [...seed, "--shards", "2", "--upload-limit", "0"],
      64,
      /Expected more than 0\. \(USAGE\)/,
    ],
    [
      ["node", "--shard", "0", "--layers", "0-1", ...at],
      64,
      /either --shard or --layers, not both \(USAGE\)/,
    ],
  ];
  for (const [args, code, said] of cases) {
    const run = await shoal(args);
    assert.match(run.stderr, said);
    assert.equal(run.code, code);
    assert.equal(run.stdout, "", "nothing was begun");
  }
});

test("a seeder alone: what is listed, downloaded and refused, and an origin that does not deliver", async (t) => {
  const server = createServer((_, response) => {
    response.writeHead(503).end();
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const origin = `http://127.0.0.1:${address.port}/demo.gguf`;

  const members = await Members.of(t);
  const rendezvous = await members.rendezvous();
  const at = (name: string): string[] => members.at(rendezvous, name);
  const empty = await shoal(["get", ...at("getter")]);
  assert.deepEqual(
    [empty.code, empty.stdout, empty.stderr],
    [0, "", "nobody in cluster c shares anything\n"],
  );
  const seeder = members.start("seeder", [
    "seed",
    DEMO_MODEL,
    "--shards",
    "2",
    "--origin",
    origin,
    // Slow enough that the origin is asked as well.
    "--upload-limit",
    "500kB",
    ...at("seeder"),
  ]);
  await seeder.whenReady();

  const list = await shoal(["get", "--json", ...at("getter")]);
  const files = JSON.parse(list.stdout) as { name: string; kind: string }[];
  assert.ok(files.some(({ name }) => name === "shoal-demo.gguf"));
  const folder = join(members.home, "folder");
  await mkdir(folder);
  const get = ["get", "shoal-demo.gguf", "--out", folder];
  const got = await shoal([...get, "--log-level", "info", ...at("getter")]);
  const path = join(folder, "shoal-demo.gguf");
  assert.deepEqual([got.code, got.stdout], [0, `${path}\n`]);
  assert.match(got.stderr, /is complete and verified/);
  assert.ok((await readFile(path)).equals(await readFile(DEMO_MODEL)));

  // It announces no shard, and its manifest is found all the same.
  await until("the manifest to be found", async () => {
    const told = await shoal(["torrents", "--json", ...at("reader")]);
    assert.equal(told.code, 0, told.stderr);
    const { isComplete, parts } = JSON.parse(told.stdout) as {
      isComplete: boolean;
      parts: unknown[];
    };
    return isComplete && parts.length === 11;
  });

  const node = ["node", "--threads", "1", ...at("node")];
  const none = await shoal([...node, "--layers", "0-9"]);
  assert.equal(none.code, 64, none.stdout);
  assert.match(
    none.stderr,
    /a model of 8 layers has no layers 0-9: they are numbered 0 to 7 \(MODEL_SHARDS\)/,
  );
  const works = members.start("node", [...node, "--layers", "0-7"]);
  await works.whenReady();
  await works.when(
    ({ level, message }) =>
      level === "warn" &&
      message.startsWith(`${origin} delivers nothing: `) &&
      message.includes("it answers 503"),
    "the origin's failure to be reported",
  );
});
