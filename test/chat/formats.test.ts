/**
 * Replies as models write them, one file for each format: what they say, however their text is cut. Names of functions, their arguments and
 * the marks around them are as in the models' own templates.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ReplyReader, Tool } from "../../src/chat/index.ts";
import { formReader, type ReplyForm } from "../../src/chat/formats/form.ts";
import { CALL_FORMATS } from "../../src/chat/formats/list.ts";
import { CallScope } from "../../src/chat/formats/scope.ts";

interface Said {
  content?: string;
  reasoning?: string;
  calls?: { name: string; arguments: string; id?: string }[];
}

interface Example extends Said {
  what: string;
  reply: string;
}

interface Examples {
  name: string;
  /** Of the list. */
  format?: string;
  /** What else the reply has. */
  form?: ReplyForm;
  examples: Example[];
}

const TOOLS: Tool[] = [
  { name: "get" },
  {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, days: { type: "integer" } },
    },
  },
  {
    name: "note",
    parameters: {
      type: "object",
      properties: {
        text: { $ref: "#/$defs/text" },
        tags: { anyOf: [{ type: "array" }, { type: "null" }] },
      },
      $defs: { text: { type: "string" } },
    },
  },
];

const folder = join(import.meta.dirname, "formats");
const files = readdirSync(folder).map(
  (file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Examples,
);

function read(reader: ReplyReader, pieces: readonly string[]): Said {
  const said: Required<Said> = { content: "", reasoning: "", calls: [] };
  for (const delta of [
    ...pieces.map((piece) => reader.push(piece)),
    reader.end(),
  ].flat()) {
    if (delta.kind === "call") {
      assert.equal(delta.index, said.calls.length);
      said.calls.push({ name: delta.name, arguments: "", id: delta.id });
    } else if (delta.kind === "arguments") {
      assert.equal(
        delta.index,
        said.calls.length - 1,
        "only the last call goes on",
      );
      said.calls[delta.index]!.arguments += delta.text;
    } else said[delta.kind] += delta.text;
  }
  return said;
}

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

for (const file of files) {
  const { name, form = { kind: "marked" }, examples } = file;
  const format = CALL_FORMATS.find((one) => one.name === file.format);
  const used = form.kind === "marked" ? { ...form, format } : form;
  const reader = (): ReplyReader => {
    let made = 0;
    return formReader(used, new CallScope(TOOLS, () => `made-${made++}`));
  };

  for (const {
    what,
    reply,
    content = "",
    reasoning = "",
    calls = [],
  } of examples) {
    test(`${name}: ${what}`, () => {
      assert.ok(
        form !== undefined || format !== undefined,
        "an unknown format",
      );
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
