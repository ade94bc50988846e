/** File names that hold on every platform, from any text and from strangers. */
import assert from "node:assert/strict";
import { join, sep } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { fileNameFor, isPlainFileName } from "./file-names.ts";

test("a plain name is a visible file of its folder on every platform", () => {
  for (const name of ["model.gguf", "a", "Model Q4_K-M.gguf", "CONSOLE", "com"])
    assert.ok(isPlainFileName(name), name);
  for (const name of [
    "",
    ".",
    "..",
    ".hidden",
    "a/b",
    String.raw`a\b`,
    "a:b",
    "end.",
    "end ",
    "a*",
    "CON",
    "nul.gguf",
    "Com1",
    "a\0",
    "x".repeat(300),
  ])
    assert.ok(!isPlainFileName(name), JSON.stringify(name));
});

test("ordinary names stay as they are", () => {
  for (const name of ["friends", "team-2", "a_b"])
    assert.equal(fileNameFor(name), name);
  assert.equal(fileNameFor("Friends"), "%46riends");
  assert.equal(fileNameFor(".."), "%2e%2e");
  assert.equal(fileNameFor("nul"), "%6eul");
});

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.constantFrom("", ".", "..", "../..", "/etc", String.raw`C:\x`, "con"),
);

test("any text becomes a name inside its folder", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const name = fileNameFor(text);
      assert.match(name, /^[%a-z0-9_-]*$/);
      assert.ok(name.length <= 200);
      if (text !== "")
        assert.equal(join("folder", name), `folder${sep}${name}`);
      assert.ok(name === "" || !/^(con|nul)(\.|$)/.test(name));
    }),
  );
});

test("different texts have different names, whatever the case", () => {
  fc.assert(
    fc.property(anyText, anyText, (a, b) => {
      if (a.toWellFormed() === b.toWellFormed()) return;
      assert.notEqual(
        fileNameFor(a).toLowerCase(),
        fileNameFor(b).toLowerCase(),
      );
    }),
  );
  assert.notEqual(fileNameFor("ab"), fileNameFor("Ab").toLowerCase());
});
