/**
 * Replies as models write them, one file for each format: what they say, however their text is cut. Names of functions, their arguments and
 * the marks around them are as in the models' own templates.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReplyReader } from "../../src/chat/index.ts";
import { formReader } from "../../src/chat/formats/form.ts";
import { CALL_FORMATS } from "../../src/chat/formats/list.ts";
import { CallScope } from "../../src/chat/formats/scope.ts";
import { read, readExamples, TOOLS } from "./support.ts";

const files = readExamples();

/** Whole, character by character, in pieces of each size up to 12, and in two at each place. */
function* cuts(text: string): Generator<string[]> {
  const characters = Array.from(text);
  yield [text];
  for (let size = 1; size <= 12; size++) {
    const pieces: string[] = [];
    for (let at = 0; at < characters.length; at += size) {
      pieces.push(characters.slice(at, at + size).join(""));
    }
    yield pieces;
  }
  for (let at = 1; at < text.length; at++)
    yield [text.slice(0, at), text.slice(at)];
}

for (const { name, form, examples } of files) {
  const reader = (): ReplyReader => {
    let made = 0;
    return formReader(form, new CallScope(TOOLS, () => `made-${made++}`));
  };

  for (const {
    what,
    reply,
    content = "",
    reasoning = "",
    calls = [],
  } of examples) {
    test(`${name}: ${what}`, () => {
      let made = 0;
      const want = {
        content,
        reasoning,
        calls: calls.map(({ id, ...call }) => ({
          ...call,
          id: id ?? `made-${made++}`,
        })),
      };
      for (const pieces of cuts(reply)) {
        assert.deepEqual(read(reader(), pieces), want, JSON.stringify(pieces));
      }
    });
  }
}

test("every format has ten examples or more", () => {
  const counts = new Map(
    files.map(({ name, examples }) => [name, examples.length]),
  );
  const names = [...CALL_FORMATS.map(({ name }) => name), "harmony", "generic"];
  const few = names.filter((name) => (counts.get(name) ?? 0) < 10);
  assert.deepEqual(few, []);
});
