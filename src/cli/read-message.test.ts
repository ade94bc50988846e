/** Messages of one line and several, from lines that are typed one by one or come at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Lines, readMessage } from "./read-message.ts";

/** Each entry is what comes in one instant: its lines, the last of them begun only where it does not end in a line break. */
function typed(...instants: string[]): Lines & { prompts: string[] } {
  let ready: string[] = [];
  let begun = "";
  const prompts: string[] = [];
  return {
    prompts,
    read: async (prompt) => {
      if (ready.length > 0) return ready.shift();
      prompts.push(prompt);
      const next = instants.shift();
      if (next === undefined) return undefined;
      const lines = (begun + next).split("\n");
      begun = lines.pop() ?? "";
      ready = lines;
      return ready.shift();
    },
    pending: () => ready.splice(0),
    get isBegun() {
      return begun !== "";
    },
  };
}

const CASES: [what: string, instants: string[], message: string | undefined][] =
  [
    ["one line", ["Hello\n"], "Hello"],
    ["an empty line", ["\n"], ""],
    ["a command", ["/clear\n"], "/clear"],
    [
      "a line that goes on",
      ["one\\\n", "two\\\n", "three\n"],
      "one\ntwo\nthree",
    ],
    ["quotes in one line", ['"""a "b" c"""\n'], 'a "b" c'],
    ["quotes over lines", ['"""\n', "a\\\n", "\n", "b\n", '"""\n'], "a\\\n\nb"],
    ["quotes with text beside them", ['"""a\n', 'b"""\n'], "a\nb"],
    ["quotes pasted at once", ['"""\na\n"""\n'], "a"],
    ["pasted lines", ["a\\\n\nb\n"], "a\\\n\nb"],
    ["pasted without its last line break", ["a\nb", "c\n"], "a\nbc"],
    ["the end", [], undefined],
    ["the end within quotes", ['"""a\n'], undefined],
    ["the end of a line that goes on", ["a\\\n"], undefined],
  ];

for (const [what, instants, message] of CASES)
  test(`a message: ${what}`, async () => {
    assert.equal(await readMessage(typed(...instants)), message);
  });

test("what goes on has another prompt; what came after a command waits for its turn", async () => {
  const lines = typed("one\\\n", "two\n", "/help\nnext\n");
  assert.equal(await readMessage(lines), "one\ntwo");
  assert.deepEqual(lines.prompts, ["> ", "... "]);
  assert.equal(await readMessage(lines), "/help");
  assert.equal(await readMessage(lines), "next");
});
