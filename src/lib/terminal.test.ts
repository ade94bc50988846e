import assert from "node:assert/strict";
import { test } from "node:test";
import {
  movesCursor,
  printable,
  printableJson,
  printableText,
  showsColors,
} from "./terminal.ts";

test("colours: FORCE_COLOR decides, then NO_COLOR, then the terminal", () => {
  const terminal = { isTTY: true, hasColors: () => true };
  const plain = { isTTY: true, hasColors: () => false };
  const pipe = { isTTY: false, hasColors: () => true };
  for (const [stream, env, expected] of [
    [terminal, {}, true],
    [plain, {}, false],
    [pipe, {}, false],
    [terminal, { NO_COLOR: "1" }, false],
    [terminal, { NO_COLOR: "" }, true],
    [pipe, { FORCE_COLOR: "1" }, true],
    [pipe, { FORCE_COLOR: "" }, true],
    [pipe, { FORCE_COLOR: "1", NO_COLOR: "1" }, true],
    [terminal, { FORCE_COLOR: "0" }, false],
    [terminal, { FORCE_COLOR: "false" }, false],
  ] as const)
    assert.equal(showsColors(stream, env), expected, JSON.stringify(env));
});

test("lines are written over in a terminal alone, and not in a dumb one", () => {
  assert.equal(movesCursor({ isTTY: true }, { TERM: "xterm" }), true);
  assert.equal(movesCursor({ isTTY: true }, { TERM: "dumb" }), false);
  assert.equal(movesCursor({ isTTY: false }, { TERM: "xterm" }), false);
});

/** A title, a colour in C1, a bell, a line that turns. */
const HOSTILE = "a\u001B]0;title\u0007\u009B31mb\u202Ec\n\td\u2028e";

test("what commands a terminal or turns the line becomes visible", () => {
  assert.equal(
    printable(HOSTILE),
    String.raw`a\x1b]0;title\x07\x9b31mb\u202ec\n\td\u2028e`,
  );
  assert.equal(
    printableText(HOSTILE),
    `${String.raw`a\x1b]0;title\x07\x9b31mb\u202ec`}\n\t${String.raw`d\u2028e`}`,
  );
});

test("JSON for a terminal is the same JSON", () => {
  for (const indent of [undefined, 2]) {
    const value = { [HOSTILE]: [HOSTILE, String.raw`\x41 \u0041`, 1] };
    const text = printableJson(value, indent);
    assert.deepEqual(JSON.parse(text), value);
    assert.doesNotMatch(text, /[^\n -~]/);
  }
});
