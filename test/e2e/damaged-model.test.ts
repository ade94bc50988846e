/** Each command that reads a model's file refuses a model that no node could load, with llama.cpp's reason. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ANY_PORTS, shoal } from "../support/cli.ts";
import { DAMAGES, writeDamagedModel } from "../support/damaged.ts";
import { temporaryFolder } from "../support/folder.ts";

const { changes, reason } = DAMAGES["an unknown pre-tokenizer"];
/** Sets the terminal's title, colours what follows, and turns the line. */
const HOSTILE = "evil\u001B]0;title\u0007\u001B[31m\u009B1m\u202Ename";

test("inspect, split, seed and up report why llama.cpp refuses a model", async (t) => {
  const folder = await temporaryFolder(t);
  const path = await writeDamagedModel(folder, { changes, reason });
  const home = ["--home", join(folder, "home")];
  const nowhere = ["--bootstrap", "127.0.0.1:1", "--cluster", "damaged"];
  const commands: [args: string[], code: number][] = [
    [["inspect", path], 0],
    [["split", path, "--shards", "2", "--out", join(folder, "out")], 70],
    [["seed", path, "--shards", "2", ...nowhere, ...home], 70],
    [["up", "--once", "--model", path, ...ANY_PORTS, ...home], 70],
    [
      ["up", "--once", "--from-seeder", "--model", path, ...ANY_PORTS, ...home],
      70,
    ],
  ];
  for (const [args, code] of commands) {
    const run = await shoal(args);
    const said = run.stdout + run.stderr;
    assert.ok(said.includes(reason), `${args.join(" ")}: ${said}`);
    assert.equal(run.code, code, said);
    assert.doesNotMatch(said, /node \d ready/);
  }
});

test("a model's name commands no terminal", async (t) => {
  const folder = await temporaryFolder(t);
  const named = { "general.name": { type: "string", value: HOSTILE } } as const;
  const path = await writeDamagedModel(folder, { changes: named, reason: "" });
  const refused = await writeDamagedModel(await temporaryFolder(t), {
    changes: { ...changes, ...named },
    reason,
  });
  const home = ["--home", join(folder, "home")];
  const shown = String.raw`evil\x1b]0;title\x07\x1b[31m\x9b1m\u202ename`;
  for (const [args, expected] of [
    [["inspect", path], shown],
    [["inspect", path, "--json"], HOSTILE.slice(0, 4)],
    [["up", "--once", "--model", refused, ...ANY_PORTS, ...home], shown],
  ] as const) {
    const run = await shoal(args);
    const said = run.stdout + run.stderr;
    assert.ok(said.includes(expected), said);
    assert.doesNotMatch(said, /\p{Bidi_Control}|(?!\n)\p{Cc}/u);
    if (args.includes("--json"))
      assert.equal((JSON.parse(run.stdout) as { name: string }).name, HOSTILE);
  }
});
