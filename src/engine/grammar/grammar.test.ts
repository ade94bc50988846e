/** Grammars against llama.cpp's own: the same tokens are allowed, step by step; and what llama.cpp cannot bear is refused or bounded. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../../test/support/folder.ts";
import { writeRandomModel } from "../../../test/support/models.ts";
import { NativeGrammar } from "../../../test/support/native-grammar.ts";
import { Random } from "../../../test/support/random.ts";
import { MAX_GRAMMAR_CHARS } from "../../grammar/index.ts";
import { readShard } from "../../model/index.ts";
import { loadNative } from "../native.ts";
import type { Pointer } from "../native-types.ts";
import { Stage } from "../stage.ts";
import { StageVocabulary } from "../stage-vocabulary.ts";
import { GrammarRules } from "./index.ts";
import { compileGbnf } from "./gbnf.ts";

const JSON_GRAMMAR = String.raw`
# as in llama.cpp's grammars/json.gbnf
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [1-9] [0-9]{0,15})? ws
ws     ::= | " " | "\n" [ \t]{0,20}`;

const GRAMMARS: Record<string, string> = {
  choice: 'root ::= "yes" | "no" | "aardvark" "b"?',
  json: JSON_GRAMMAR,
  repetitions:
    'root ::= [a-c]{3} ("x" "y"){0,2} "z"{2,} (w w)* "."\nw ::= "ab" | "a" | "b"',
  "a nested possible nothing": 'root ::= ("a"? "b"?)* "c"',
  "characters of several bytes": 'root ::= ("é" | "日本" | [α-ω] | "🐟")+ "!"',
  "all but": "root ::= [^a-z]{2,9} .",
  ambiguous: 'root ::= x x x "d"\nx ::= y | y y\ny ::= "a" | "b" | "ab" | "ba"',
  "right recursion": 'root ::= "a" root | b\nb ::= "b" b | ""',
  "tokens by name": 'root ::= <s> !<[300]> "b"+',
};

async function openModel(
  t: TestContext,
): Promise<{ vocab: Pointer; shared: StageVocabulary }> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 1, vocab: "bytes", vocabSize: 700 });
  const stage = new Stage(await readShard(path), {
    contextLength: 64,
    sessions: 1,
    batchTokens: 8,
    threads: 1,
  });
  t.after(() => stage[Symbol.dispose]());
  return {
    vocab: loadNative().vocab(stage.model),
    shared: StageVocabulary.of(stage),
  };
}

function rulesOf(
  shared: StageVocabulary,
  gbnf: string,
  regex?: string,
): GrammarRules {
  const triggers =
    regex === undefined ? undefined : [{ kind: "pattern" as const, regex }];
  return new GrammarRules({ gbnf, triggers }, shared.pieces, (text) =>
    shared.tokenOf(text),
  );
}

/** Whether the bytes are UTF-8 up to here: llama.cpp's grammars also let through some that never are. */
function begins(written: readonly Uint8Array[], piece: Uint8Array): boolean {
  try {
    const bytes = Buffer.concat([...written, piece]);
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function tokensIn(bits: Uint8Array, size: number): number[] {
  return Array.from({ length: size }, (_, token) => token).filter(
    (token) => ((bits[token >> 3]! >> (token & 7)) & 1) === 1,
  );
}

test("the tokens that llama.cpp allows, and no others, at each step of random walks", async (t) => {
  const { vocab, shared } = await openModel(t);
  const { size, endTokens } = shared.pieces;
  const flat = new Float32Array(size);
  const random = new Random(7);
  let steps = 0;
  for (const [name, gbnf] of Object.entries(GRAMMARS))
    for (let walk = 0; walk < 6; walk++) {
      using native = new NativeGrammar(vocab, gbnf);
      const rules = rulesOf(shared, gbnf);
      const written: Uint8Array[] = [];
      for (let step = 0; step < 40; step++) {
        const expected = [...native.apply(flat).entries()].flatMap(
          ([token, logit]) =>
            logit === -Infinity || !begins(written, shared.pieces.of(token))
              ? []
              : [token],
        );
        const actual = tokensIn(rules.allowed(), size);
        assert.deepEqual(actual, expected, `${name}, step ${step}`);
        for (let token = 0; token < size; token++)
          assert.equal(
            rules.allows(token),
            expected.includes(token),
            `${name}: ${token}`,
          );
        steps++;
        const token = expected[random.below(expected.length)];
        if (token === undefined || endTokens.has(token)) break;
        native.accept(token);
        written.push(shared.pieces.of(token));
        rules.accept(token);
      }
    }
  assert.ok(steps > 400, `${steps} steps`);
});

test("a character that begins like a forbidden one may still come", async (t) => {
  const { shared } = await openModel(t);
  const rules = rulesOf(shared, "root ::= [^é]");
  const byte = (value: number): number => 3 + value;
  assert.ok(rules.allows(byte(0xc3)));
  rules.accept(byte(0xc3));
  assert.ok(!rules.allows(byte(0xa9)), "é");
  assert.ok(rules.allows(byte(0xa8)), "è");
});

test("a grammar that waits begins where llama.cpp's does", async (t) => {
  const { vocab, shared } = await openModel(t);
  const { size } = shared.pieces;
  const flat = new Float32Array(size);
  const byte = (text: string): number[] =>
    [...Buffer.from(text)].map((value) => 3 + value);
  const cases: [regex: string, gbnf: string, text: string][] = [
    ["<call>", 'root ::= "<call>" [a-z]+', "é is <call>"],
    ["think>\\s*(\\{)", 'root ::= "{" "a"', "{ think> \n{"],
    ["^(?:.|\\n)*?(xy)$", 'root ::= "xy" "z"', "aa\nxy"],
  ];
  for (const [regex, gbnf, text] of cases) {
    using native = new NativeGrammar(vocab, gbnf, [regex]);
    const rules = rulesOf(shared, gbnf, regex);
    for (const token of byte(text)) {
      assert.ok(rules.allows(token));
      native.accept(token);
      rules.accept(token);
    }
    const expected = native.apply(flat).map((logit) => Number(logit === 0));
    const actual = flat.map((_, token) => Number(rules.allows(token)));
    assert.deepEqual(actual, expected, regex);
    assert.ok(actual.includes(0), "it has begun");
  }
  const word = new GrammarRules(
    {
      gbnf: 'root ::= "<a>" "b"',
      triggers: [
        { kind: "word", text: "<a>" },
        { kind: "token", token: 400 },
      ],
    },
    shared.pieces,
    () => undefined,
  );
  for (const token of byte("<<a>")) word.accept(token);
  assert.ok(word.allows(byte("b")[0]!));
  assert.ok(!word.allows(byte("a")[0]!));
});

test("what is no grammar is refused, with its line", () => {
  const deep = `root ::= ${"(".repeat(200)}"a"${")".repeat(200)}`;
  const chain = Array.from(
    { length: 5000 },
    (_, i) => `r${i} ::= r${i + 1} "x" | r${i + 1} "y"`,
  ).join("\n");
  const cases: [gbnf: string, why: RegExp][] = [
    ["", /no rule `root`/],
    ['a ::= "b"', /no rule `root`/],
    ["root ::= b", /line 1: the rule b is missing/],
    [
      'root ::= "a"\n\nroot ::= "unfinished',
      /line 3: a text or a class has no end/,
    ],
    ['root ::= "a" )', /a new line or the end/],
    ["root ::= *", /something to repeat/],
    ['root ::= "a"{3,1}', /repetition/],
    ['root ::= "a"{3000}', /repetitions/],
    [
      `root ::= ${Array.from({ length: 40 }, (_, i) => `[a-${String.fromCodePoint(0x100 + i)}]{0,1500} `).join("")}`,
      /too large/,
    ],
    ['root ::= "\\q"', /unknown escape/],
    ["root ::= <nothing>", /no token/],
    [deep, /groups inside each other/],
    ['root ::= root "a" | "b"', /begins with itself/],
    ['root ::= a root "x" | "y"\na ::= b\nb ::= ""', /begins with itself/],
    [`root ::= r0\n${chain}`, /r5000 is missing/],
    [`root ::= "${"a".repeat(MAX_GRAMMAR_CHARS)}"`, /characters/],
  ];
  for (const [gbnf, message] of cases)
    assert.throws(
      () => compileGbnf(gbnf, () => undefined),
      { code: "GRAMMAR_INVALID", message },
      gbnf.slice(0, 60),
    );
  const looped = `${chain}\nroot ::= r0\nr5000 ::= "z"`;
  assert.ok(compileGbnf(looped, () => undefined).rules.length > 5000);
});

test("a pattern that could take exponential time is refused or does not", async (t) => {
  const { shared } = await openModel(t);
  for (const regex of ["(", "(?=a)b", "(a)\\1"])
    assert.throws(() => rulesOf(shared, 'root ::= "a"', regex), {
      code: "GRAMMAR_INVALID",
    });
  const rules = rulesOf(shared, 'root ::= "a"', "(a*)*b");
  for (let i = 0; i < 40; i++) rules.accept(3 + 97);
  assert.ok(rules.allows(3 + 97), "it has not begun");
});

test("a grammar with too many ways to read a text ends its session, soon", async (t) => {
  const { shared } = await openModel(t);
  const hostile = [
    // Each "a" doubles what is open.
    'root ::= s\ns ::= "a" s "b" | "a" s "c" | "d"',
    `root ::= ${"x ".repeat(5000)}"y"\nx ::= "a"?`,
  ];
  for (const gbnf of hostile) {
    const startedMs = performance.now();
    assert.throws(
      () => {
        const rules = rulesOf(shared, gbnf);
        for (let i = 0; i < 100; i++) {
          rules.allowed();
          rules.accept(3 + 97);
        }
      },
      { code: "GRAMMAR_INVALID", message: /too ambiguous/ },
    );
    assert.ok(performance.now() - startedMs < 20_000);
  }
});

test("a long text forgets what it does not need any more, and goes on", async (t) => {
  const { shared } = await openModel(t);
  const rules = rulesOf(shared, 'root ::= (pair)*\npair ::= "a"{0,1000} "b"');
  for (let i = 0; i < 20_000; i++)
    rules.accept(3 + (i % 1001 === 1000 ? 98 : 97));
  assert.ok(rules.allows(3 + 98));
  assert.ok(!rules.allows(3 + 99));
});
