import assert from "node:assert/strict";
import { test } from "node:test";
import { movesCursor, showsColors } from "./terminal.ts";

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
