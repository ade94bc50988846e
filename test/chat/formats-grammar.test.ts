/** The grammar of each format: it allows what its models write, and whatever it allows, its reader reads as calls of the tools. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatRequest, Json } from "../../src/chat/index.ts";
import { formReader, type ReplyForm } from "../../src/chat/formats/form.ts";
import { replyGrammar } from "../../src/chat/formats/reply-grammar.ts";
import { CallScope } from "../../src/chat/formats/scope.ts";
import { checkGrammar } from "../../src/grammar/index.ts";
import { TextGrammar } from "../support/gbnf.ts";
import { Random } from "../support/random.ts";
import { read, readExamples, TAUGHT, TOOLS, type Said } from "./support.ts";

const AUTO: ChatRequest = {
  messages: [],
  tools: TOOLS,
  toolChoice: "auto",
  parallelToolCalls: true,
};
const DRAWS = 50;
const files = readExamples().filter(({ name }) => !name.includes("-others"));

function grammarOf(form: ReplyForm, request: Partial<ChatRequest> = {}) {
  const grammar = replyGrammar(form, TOOLS, { ...AUTO, ...request });
  assert.ok(grammar !== undefined);
  const { gbnf, triggers = [] } = grammar;
  checkGrammar(gbnf);
  return { triggers, text: new TextGrammar(gbnf) };
}

const reader = (form: ReplyForm) =>
  formReader(form, new CallScope(TOOLS, () => "id"));

/** Where the grammar begins in a reply. */
function beginning(
  reply: string,
  triggers: ReturnType<typeof grammarOf>["triggers"],
): number {
  const places = triggers.flatMap((trigger) => {
    if (trigger.kind === "word") return reply.indexOf(trigger.text);
    const match = new RegExp(trigger.regex, "d").exec(reply);
    return match?.indices?.[1]?.[0] ?? -1;
  });
  return Math.min(...places.filter((place) => place >= 0));
}

for (const { name, form, examples } of files) {
  test(`${name}: a call as the model was taught to write it is allowed from its mark on`, () => {
    const taught = examples.filter(({ what }) => TAUGHT.test(what));
    const { triggers, text } = grammarOf(form);
    assert.ok(taught.length > 0);
    for (const { reply, calls = [] } of taught) {
      const at = form.kind === "generic" ? 0 : beginning(reply, triggers);
      const held = reply.slice(at).replaceAll("<|call|>", "");
      const isParallel = form.kind !== "harmony" || calls.length === 1;
      assert.equal(text.accepts(held), isParallel, held);
    }
  });

  test(`${name}: what the grammar allows is read as calls`, () => {
    const random = new Random(7);
    let most = 0;
    for (const parallelToolCalls of [true, false]) {
      const { text } = grammarOf(form, {
        toolChoice: "required",
        parallelToolCalls,
      });
      for (let draw = 0; draw < DRAWS; draw++) {
        const reply = text.draw(random, 500);
        const said = read(reader(form), [reply]);
        checkCalls(said, reply);
        if (!parallelToolCalls) assert.equal(said.calls.length, 1, reply);
        most = Math.max(most, said.calls.length);
      }
    }
    assert.equal(most > 1, form.kind !== "harmony");
  });
}

function checkCalls({ content, calls }: Required<Said>, reply: string): void {
  assert.equal(content, "", reply);
  assert.ok(calls.length > 0, reply);
  for (const call of calls) {
    const given = JSON.parse(call.arguments) as Record<string, unknown>;
    if (call.name === "get_weather") {
      assert.equal(typeof given["city"], "string", reply);
      assert.ok(given["days"] === undefined || Number.isInteger(given["days"]));
    } else if (call.name === "note") {
      assert.ok(
        given["text"] === undefined || typeof given["text"] === "string",
      );
    } else assert.deepEqual(given, {}, reply);
  }
}

const SCHEMA = {
  type: "object",
  properties: { answer: { type: "integer" } },
  required: ["answer"],
};
const HOLDS: ChatRequest["hold"][] = [
  { kind: "schema", schema: SCHEMA },
  {
    kind: "gbnf",
    gbnf: 'root ::= "{" a "}" # "root"\na ::= (["] "answer" ["]\n  ":") [0-9]',
  },
];
const FORMS = ["harmony", "generic", "thinking", "hermes"];

for (const { name, form } of files.filter(({ name }) => FORMS.includes(name))) {
  for (const hold of HOLDS) {
    test(`${name}: the content has its form, by ${hold?.kind}`, () => {
      const grammar = replyGrammar(
        form.kind === "generic" ? { kind: "marked" } : form,
        [],
        { ...AUTO, tools: [], hold },
      );
      const text = new TextGrammar(grammar?.gbnf ?? "");
      const random = new Random(7);
      let thoughts = 0;
      for (let draw = 0; draw < DRAWS; draw++) {
        const reply = text.draw(random);
        const said = read(reader(form), [reply]);
        const content = form.kind === "generic" ? reply : said.content;
        assert.ok(Number.isInteger(answerOf(content)), reply);
        if (said.reasoning !== "") thoughts++;
      }
      assert.equal(thoughts > 0, name === "harmony" || name === "thinking");
    });
  }

  test(`${name}: with tools and a form, a reply is one or the other`, () => {
    const { text, triggers } = grammarOf(form, { hold: HOLDS[0] });
    assert.deepEqual(triggers, []);
    const random = new Random(7);
    const seen = { calls: 0, answers: 0 };
    for (let draw = 0; draw < DRAWS; draw++) {
      const reply = text.draw(random);
      const said = read(reader(form), [reply]);
      if (said.calls.length > 0) {
        checkCalls(said, reply);
        seen.calls++;
      } else {
        assert.ok(Number.isInteger(answerOf(said.content)), reply);
        seen.answers++;
      }
    }
    assert.ok(seen.calls > 0 && seen.answers > 0);
  });
}

const answerOf = (json: string): unknown =>
  (JSON.parse(json) as { answer: unknown }).answer;

test("one tool by its name is the only one", () => {
  const { form } = files.find(({ name }) => name === "hermes") ?? files[0]!;
  const { text } = grammarOf(form, { toolChoice: { name: "get" } });
  assert.ok(
    text.accepts('<tool_call>\n{"name": "get", "arguments": {}}\n</tool_call>'),
  );
  assert.ok(
    !text.accepts(
      '<tool_call>\n{"name": "note", "arguments": {}}\n</tool_call>',
    ),
  );
});

const CODER =
  "<tool_call>\n<function=pick>\n<parameter=unit>\nC\n</parameter>\n</function>\n</tool_call>";
const PICKS: [
  what: string,
  parameters: Json | undefined,
  other: boolean,
  key: boolean,
][] = [
  [
    "the texts that a schema lists are the only ones",
    { type: "object", properties: { unit: { enum: ["C", "F"] } } },
    false,
    false,
  ],
  [
    "a schema's text may be any",
    { type: "object", properties: { unit: { type: "string" } } },
    true,
    false,
  ],
  [
    "a schema without names allows any argument",
    { type: "object" },
    true,
    true,
  ],
  ["a tool without a schema takes any argument", undefined, true, true],
  [
    "a schema without arguments allows none",
    { type: "object", properties: {} },
    false,
    false,
  ],
];

for (const [what, parameters, other, key] of PICKS) {
  test(`written in marks, ${what}`, () => {
    const file = files.find(({ name }) => name === "qwen3-coder");
    assert.ok(file !== undefined);
    const tools = [{ name: "pick", parameters }];
    const grammar = replyGrammar(file.form, tools, AUTO);
    const text = new TextGrammar(grammar?.gbnf ?? "");
    const isNone = what.endsWith("none");
    assert.equal(text.accepts(CODER), !isNone);
    assert.equal(text.accepts(CODER.replace("C\n", "K <x>\n")), other);
    assert.equal(text.accepts(CODER.replace("=unit", "=other")), key);
  });
}
