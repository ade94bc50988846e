/** The tokenizer is llama.cpp's, checked against the ids that its project publishes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { GgufValue } from "../gguf/index.ts";
import { isShoalError } from "../lib/index.ts";
import { ownEngines } from "../../test/support/cli.ts";
import { temporaryFolder, testData } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { DEMO_MODEL } from "../../test/support/swarm.ts";
import { Tokenizer } from "./tokenizer.ts";

const published = testData("ggml-vocab-llama-spm.gguf");

test(
  "46 published cases give the published ids",
  { skip: published.skip },
  async () => {
    const cases = readFileSync(`${published.path}.inp`, "utf8").split(
      "\n__ggml_vocab_test__\n",
    );
    const expected = readFileSync(`${published.path}.out`, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/\s+/).filter(Boolean).map(Number));
    await using tokenizer = await Tokenizer.load(published.path);
    for (const [i, ids] of expected.entries()) {
      const actual = await tokenizer.encode(cases[i]!, {
        addSpecial: false,
        parseSpecial: false,
      });
      assert.deepEqual([...actual], ids, JSON.stringify(cases[i]));
    }
    assert.ok(expected.length >= 46);
  },
);

test(
  "special tokens are parsed only on request",
  { skip: published.skip },
  async () => {
    await using tokenizer = await Tokenizer.load(published.path);
    const read = await tokenizer.encode("<s>", {
      addSpecial: false,
      parseSpecial: true,
    });
    assert.deepEqual([...read], [1]);
    const plain = await tokenizer.encode("<s>", {
      addSpecial: false,
      parseSpecial: false,
    });
    assert.ok(plain.length > 1);
    const begun = await tokenizer.encode("x", {
      addSpecial: true,
      parseSpecial: false,
    });
    assert.equal(begun[0], 1);
    assert.equal(tokenizer.bosText, "<s>");
    assert.equal(tokenizer.isEndOfGeneration(2), true);
    assert.equal(tokenizer.piece(2).length, 0);
    assert.equal(Buffer.from(tokenizer.piece(2, true)).toString(), "</s>");
    assert.deepEqual(tokenizer.piece(1000, true), tokenizer.piece(1000));
    assert.equal(tokenizer.infill.prefix, undefined);
  },
);

test("control tokens have a text on request, and infill tokens a role", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  const role = (name: string, value: number): [string, GgufValue] => [
    `tokenizer.ggml.${name}_token_id`,
    { type: "uint32", value },
  ];
  await writeRandomModel(path, {
    layers: 1,
    vocab: "bytes",
    extraMetadata: [role("fim_pre", 300), role("fim_sep", 301)],
  });
  await using tokenizer = await Tokenizer.load(path);
  const text = (token: number, special?: boolean): string =>
    Buffer.from(tokenizer.piece(token, special)).toString();
  const how = { addSpecial: false, parseSpecial: true };
  for (const [token, piece] of [
    [1, "<s>"],
    [2, "</s>"],
  ] as const) {
    assert.equal(text(token), "");
    assert.equal(text(token, true), piece);
    assert.deepEqual([...(await tokenizer.encode(piece, how))], [token]);
  }
  assert.equal(text(259, true), text(259));
  assert.notEqual(text(259), "");
  assert.equal(text(1 << 20, true), "");
  assert.deepEqual(tokenizer.infill, {
    prefix: 300,
    file: 301,
  });
});

test("any text decodes to itself", async () => {
  await using tokenizer = await Tokenizer.load(DEMO_MODEL);
  for (const text of [
    "plain",
    "Zoë, naïve",
    "日本語 🐟🐠",
    "\u0000\n\t",
    "a".repeat(3000),
  ]) {
    const tokens = await tokenizer.encode(text, {
      addSpecial: false,
      parseSpecial: false,
    });
    const bytes = Buffer.concat(
      [...tokens].map((token) => tokenizer.piece(token)),
    );
    assert.equal(bytes.toString().trimStart(), text.trimStart());
  }
});

test("a file without a vocabulary is refused", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 1, vocab: "none" });
  await assert.rejects(Tokenizer.load(path), { code: "ENGINE_LOAD_FAILED" });
});

test("texts that meet an engine that has just died are read by the next one, which is started once", async () => {
  const others = new Set(ownEngines());
  const engines = (): number[] =>
    ownEngines().filter((pid) => !others.has(pid));
  await using tokenizer = await Tokenizer.load(DEMO_MODEL);
  const how = { addSpecial: false, parseSpecial: false };
  const expected = await tokenizer.encode("Once upon a time", how);
  const [engine] = engines();
  process.kill(engine!, "SIGKILL");
  const texts = Array.from({ length: 3 }, () =>
    tokenizer.encode("Once upon a time", how),
  );
  for (const ids of await Promise.all(texts)) assert.deepEqual(ids, expected);
  assert.equal(engines().length, 1);
});

test("a tokenizer that was stopped starts no engine again", async () => {
  const tokenizer = await Tokenizer.load(DEMO_MODEL);
  assert.equal(ownEngines().length, 1);
  await tokenizer.stop();
  await assert.rejects(
    tokenizer.encode("Once", { addSpecial: true, parseSpecial: false }),
    (error) => isShoalError(error, "ABORTED"),
  );
  assert.deepEqual(ownEngines(), []);
});
