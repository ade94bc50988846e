/**
 * Writes llama-cases.json from llama.cpp's own test of its converter:
 *
 *     npm exec -- node test/grammar/extract-cases.ts path/to/llama.cpp/tests/test-json-schema-to-grammar.cpp
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

const source = readFileSync(process.argv[2] ?? "", "utf8");
const pattern =
  /\b(?:test|run)\(\{\s*(SUCCESS|FAILURE),\s*"((?:[^"\\]|\\.)*)",\s*(?:R"""\(([\s\S]*?)\)"""|"([^"]*)"),\s*(?:R"""\(([\s\S]*?)\)"""|"([^"]*)"),?\s*\}\)/g;

const cases = [...source.matchAll(pattern)]
  .map(([, status, name = "", raw, short, grammar = ""]) => ({
    name,
    schema: JSON.parse(raw ?? short ?? "") as unknown,
    grammar:
      status === "SUCCESS"
        ? grammar
            .split("\n")
            .map((line) => line.trim())
            .filter((line) => line !== "")
        : null,
  }))
  .filter(({ name }) => !name.startsWith("gemma4"))
  .filter(
    (one, index, all) =>
      all.findIndex((other) => isDeepStrictEqual(one, other)) === index,
  );

writeFileSync(
  join(import.meta.dirname, "llama-cases.json"),
  `${JSON.stringify(
    {
      source:
        "https://github.com/ggml-org/llama.cpp/blob/master/tests/test-json-schema-to-grammar.cpp, without the dialect of one model",
      licence: "MIT, Copyright (c) 2023-2026 The ggml authors",
      cases,
    },
    undefined,
    1,
  )}\n`,
);
