/**
 * Replies as models write them, one file for each format: what they say, however their text is cut. Names of functions, their arguments and
 * the marks around them are as in the models' own templates.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReplyReader } from "../../src/chat/index.ts";
import {
  formReader,
  preservedOf,
  type ReplyForm,
} from "../../src/chat/formats/form.ts";
import { CALL_FORMATS } from "../../src/chat/formats/list.ts";
import { CallScope } from "../../src/chat/formats/scope.ts";
import { Random } from "../support/random.ts";
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

/** Marks in any order, whole and cut off, with what stands between them. */
function nonsense(marks: readonly string[], random: Random): string {
  const words = [
    ...marks,
    "get",
    "get_weather",
    "{",
    "}",
    '"',
    "[",
    "]",
    ",",
    " ",
    "\n",
    ":",
    '"name": "get"',
    '{"name": "get", "arguments": {',
    "{}",
    "🐟",
    "city",
    "true",
    "\\",
  ];
  return Array.from({ length: 1 + random.below(14) }, () => {
    const word = words[random.below(words.length)] ?? "";
    return random.below(5) === 0
      ? word.slice(0, random.below(word.length))
      : word;
  }).join("");
}

for (const { name, form } of files) {
  test(`${name}: nonsense is read alike however it is cut, and none of it is lost`, () => {
    const random = new Random(7);
    let calls = 0;
    for (let round = 0; round < 200; round++) {
      const text = nonsense(preservedOf(form), random);
      const reader = () => formReader(form, new CallScope(TOOLS, () => "id"));
      const whole = read(reader(), [text]);
      assert.deepEqual(
        read(reader(), Array.from(text)),
        whole,
        JSON.stringify(text),
      );
      const middle = random.below(text.length);
      const halves = [text.slice(0, middle), text.slice(middle)];
      assert.deepEqual(read(reader(), halves), whole, JSON.stringify(halves));
      if (whole.calls.length > 0) calls++;
      else if (whole.reasoning === "" && isPlain(form)) {
        assert.equal(whole.content, text);
      }
    }
    assert.ok(calls < 200);
  });
}

/** Without calls, all of its text is content. */
const isPlain = (form: ReplyForm): boolean =>
  form.kind === "marked" && form.reasoning === undefined;

test("every format has ten examples or more", () => {
  const counts = new Map(
    files.map(({ name, examples }) => [name, examples.length]),
  );
  const names = [...CALL_FORMATS.map(({ name }) => name), "harmony", "generic"];
  const few = names.filter((name) => (counts.get(name) ?? 0) < 10);
  assert.deepEqual(few, []);
});
