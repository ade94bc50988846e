/** Replies as data, and what a reader makes of one. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ReplyReader, Tool } from "../../src/chat/index.ts";
import type { ReplyForm } from "../../src/chat/formats/form.ts";
import { CALL_FORMATS } from "../../src/chat/formats/list.ts";

export interface Said {
  content?: string;
  reasoning?: string;
  calls?: { name: string; arguments: string; id?: string }[];
}

interface Example extends Said {
  what: string;
  reply: string;
}

interface File {
  name: string;
  /** Of the list. */
  format?: string;
  /** What else the reply has. */
  form?: ReplyForm;
  examples: Example[];
}

export interface Examples {
  name: string;
  form: ReplyForm;
  examples: Example[];
}

export const TOOLS: readonly Tool[] = [
  { name: "get", parameters: { type: "object", properties: {} } },
  {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, days: { type: "integer" } },
      required: ["city"],
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

/** What of the examples is as the models were taught to write. */
export const TAUGHT =
  /^(one call|two arguments|no arguments|two calls|a call|thoughts, a call)$/;

const folder = join(import.meta.dirname, "formats");

/** The files of `formats`. */
export function readExamples(): Examples[] {
  return readdirSync(folder).map((file) => {
    const text = readFileSync(join(folder, file), "utf8");
    const { name, format: wanted, form, examples } = JSON.parse(text) as File;
    const format = CALL_FORMATS.find((one) => one.name === wanted);
    assert.equal(format?.name, wanted, file);
    const whole: ReplyForm =
      form === undefined || form.kind === "marked"
        ? { kind: "marked", ...form, format }
        : form;
    return { name, form: whole, examples };
  });
}

export function read(
  reader: ReplyReader,
  pieces: Iterable<string>,
): Required<Said> {
  const said: Required<Said> = { content: "", reasoning: "", calls: [] };
  const deltas = [...pieces].flatMap((piece) => reader.push(piece));
  for (const delta of [...deltas, ...reader.end()]) {
    if (delta.kind === "call") {
      assert.equal(delta.index, said.calls.length);
      said.calls.push({ name: delta.name, arguments: "", id: delta.id });
    } else if (delta.kind === "arguments") {
      const last = said.calls.length - 1;
      assert.equal(delta.index, last, "only the last call goes on");
      const call = said.calls[last];
      assert.ok(call !== undefined);
      call.arguments += delta.text;
    } else said[delta.kind] += delta.text;
  }
  return said;
}
