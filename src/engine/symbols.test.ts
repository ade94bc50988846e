/**
 * Each native function is taken from the library that defines it. Linux finds it in those that a library depends on too; Windows does not,
 * and its libraries define the same functions as Linux' do.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { definedSymbols } from "../../test/support/elf.ts";
import { findLibraries } from "./libraries.ts";

const SOURCES = [
  "native.ts",
  "native-devices.ts",
  "native-samplers.ts",
  "native-tensors.ts",
];
const BOUND = /\b(base|ggml|llama)\.func\(\s*"[^"(]*?(\w+)\(/g;
/** A lower number means that the pattern misses some. */
const LEAST_FUNCTIONS = 50;

test("each native function is taken from the library that defines it", async () => {
  const libraries = findLibraries();
  const defined = {
    base: await definedSymbols(join(libraries.directory, libraries.base)),
    ggml: await definedSymbols(join(libraries.directory, libraries.ggml)),
    llama: await definedSymbols(join(libraries.directory, libraries.llama)),
  };
  assert.ok(!defined.llama.has("ggml_nbytes"), "it is ggml-base's");
  const bound = SOURCES.flatMap((name) => {
    const source = readFileSync(join(import.meta.dirname, name), "utf8");
    assert.doesNotMatch(source, /(?<!\b(?:base|ggml|llama))\.func\(/);
    return [...source.matchAll(BOUND)];
  });
  assert.ok(bound.length >= LEAST_FUNCTIONS, String(bound.length));
  const elsewhere = bound.filter(
    ([, library, name = ""]) =>
      !defined[library as keyof typeof defined].has(name),
  );
  assert.deepEqual(
    elsewhere.map(([, library, name]) => `${library}: ${name}`),
    [],
  );
});
