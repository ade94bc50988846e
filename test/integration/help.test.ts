/** The `--help` of every command, and that its examples are accepted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { commandNames, helpFor, refusalOf } from "../support/command-line.ts";

const COMMON = [
  "--home",
  "--config",
  "--log",
  "--log-level",
  "--ascii",
  "--help",
];

const commands = (await commandNames()).filter(
  (name) => name !== "help" && name !== "shoal",
);

test("the list has every command in a group", async () => {
  const { code, stdout } = await helpFor([]);
  assert.equal(code, 0);
  assert.ok(commands.length >= 14);
  assert.deepEqual(stdout.match(/^[A-Z].*:$/gm), [
    "Options:",
    "Run a cluster:",
    "Use a cluster:",
    "Work with model files:",
    "Other commands:",
    "Example:",
  ]);
});

for (const command of commands) {
  test(`${command}: options are in groups, the common ones last, then examples that are accepted`, async () => {
    const { stdout } = await helpFor([command]);
    const groups = stdout.match(/^[A-Z][\w ]* options(?: \(.*\))?:$/gm) ?? [];
    assert.doesNotMatch(stdout, /^Options:$/m);
    assert.ok(groups.length >= (command === "completion" ? 1 : 2));
    assert.equal(groups.at(-1), "Common options:");
    const [, last = ""] = stdout.split("Common options:\n");
    const [options = "", examples = ""] = last.split(/^Examples?:$/m);
    assert.deepEqual(
      options
        .match(/^ +(?:-\w, )?--[\w-]+/gm)
        ?.map((flag) => flag.trim().split(" ").at(-1)),
      COMMON,
    );
    const lines = examples.split("\n").filter((line) => line.trim() !== "");
    assert.ok(lines.length > 0);
    for (const line of lines) {
      const [, rest] = /\bshoal (.*?)(?:\)? {2,}#.*| \| .*)?$/.exec(line) ?? [];
      assert.ok(rest !== undefined, line);
      const words = rest.match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
      const args = words.map((word) => word.replaceAll(/^["']|["']$/g, ""));
      assert.equal(await refusalOf(args), undefined, line);
    }
  });
}
