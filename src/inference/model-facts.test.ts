import assert from "node:assert/strict";
import { test } from "node:test";
import { openModel } from "../gguf/index.ts";
import { buildManifest, encodeManifest, manifestId } from "../model/index.ts";
import { DEMO_MODEL } from "../../test/support/swarm.ts";
import { factsOf } from "./model-facts.ts";

test("a model's facts are those of its file", async () => {
  const model = await openModel(DEMO_MODEL);
  const manifest = await buildManifest(model);
  const id = manifestId(encodeManifest(manifest));
  const facts = factsOf(id, manifest, model.metadata);
  const weights = new Map(
    model.tensors.map(({ name, shape }) => [
      name,
      shape.reduce((product, size) => product * size, 1),
    ]),
  );
  assert.equal(
    facts.parameterCount,
    [...weights.values()].reduce((sum, count) => sum + count, 0),
  );
  assert.equal(facts.sizeBytes, model.files[0]?.sizeBytes);
  assert.match(facts.digest, /^[0-9a-f]{64}$/);
  const { metadata, architecture, contextLength } = facts;
  assert.equal(metadata["general.architecture"], architecture);
  assert.equal(metadata[`${architecture}.context_length`], contextLength);
});

test("of the file's key-values only numbers, booleans and short texts are told", async () => {
  const model = await openModel(DEMO_MODEL);
  const manifest = await buildManifest(model);
  const id = manifestId(encodeManifest(manifest));
  const { metadata } = factsOf(
    id,
    manifest,
    new Map([
      ["a.big", { type: "uint64", value: 2n ** 40n }],
      ["a.flag", { type: "bool", value: false }],
      ["a.nan", { type: "float32", value: NaN }],
      ["a.long", { type: "string", value: "x".repeat(1025) }],
      ["a.short", { type: "string", value: "x" }],
      ["tokenizer.chat_template", { type: "string", value: "{{ x }}" }],
    ]),
  );
  assert.deepEqual(metadata, {
    "a.big": 2 ** 40,
    "a.flag": false,
    "a.short": "x",
  });
});
