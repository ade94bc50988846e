/** What a reference means, and which texts are none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import { isRemote, isSafePath, parseReference } from "./reference.ts";

const HUB = "https://huggingface.co";
const hub = (repo: string, revision: string, rest: object = {}): object => ({
  kind: "hub",
  repo,
  revision,
  tag: undefined,
  file: undefined,
  ...rest,
});
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const SUM = "ab".repeat(32);

const MEANINGS: readonly (readonly [string, object])[] = [
  ["hf:o/r", hub("o/r", "main")],
  ["HF:o/r", hub("o/r", "main")],
  ["hf://o/r:q8_0", hub("o/r", "main", { tag: "q8_0" })],
  [
    "hf:o.x/r-1.5_B-GGUF:Q4_K_M",
    hub("o.x/r-1.5_B-GGUF", "main", { tag: "Q4_K_M" }),
  ],
  ["hf:o/r/m.gguf", hub("o/r", "main", { file: "m.gguf" })],
  ["hf:o/r/a/b/m.Q4.gguf", hub("o/r", "main", { file: "a/b/m.Q4.gguf" })],
  ["hf:o/r@v1.0", hub("o/r", "v1.0")],
  ["hf:o/r@v1:Q8_0", hub("o/r", "v1", { tag: "Q8_0" })],
  ["hf:o/r:Q8_0@v1", hub("o/r", "v1", { tag: "Q8_0" })],
  [`hf:o/r@${COMMIT}/m.gguf`, hub("o/r", COMMIT, { file: "m.gguf" })],
  ["hf:o/r/m.gguf@v1", hub("o/r", "v1", { file: "m.gguf" })],
  ["hf:o/r@refs/pr/7:Q8_0", hub("o/r", "refs/pr/7", { tag: "Q8_0" })],
  ["hf:o/r@refs%2Fpr%2F7/m.gguf", hub("o/r", "refs/pr/7", { file: "m.gguf" })],
  [
    "https://huggingface.co/o/r",
    { kind: "hub", repo: "o/r", revision: "main" },
  ],
  [
    "https://huggingface.co/o/r/blob/main/d/m.gguf",
    { kind: "hub", repo: "o/r", revision: "main", file: "d/m.gguf" },
  ],
  [
    "https://hf.co/o/r/resolve/refs%2Fpr%2F1/m.gguf?download=true",
    { kind: "hub", repo: "o/r", revision: "refs/pr/1", file: "m.gguf" },
  ],
  [
    "https://example.org/m.gguf?sig=x",
    {
      kind: "address",
      url: "https://example.org/m.gguf?sig=x",
      sha256: undefined,
    },
  ],
  [
    `https://example.org/a%20b.gguf#sha256=${SUM.toUpperCase()}`,
    { kind: "address", url: "https://example.org/a%20b.gguf", sha256: SUM },
  ],
  [
    "http://127.0.0.1:8080/m.gguf",
    { kind: "address", url: "http://127.0.0.1:8080/m.gguf", sha256: undefined },
  ],
  [
    "http://[::1]/m.gguf",
    { kind: "address", url: "http://[::1]/m.gguf", sha256: undefined },
  ],
];

test("what is a path is not looked up anywhere", () => {
  for (const path of [
    "model.gguf",
    "/a/hf:b.gguf",
    "C:\\models\\m.gguf",
    "hf/o/r",
  ])
    assert.ok(!isRemote(path), path);
});

for (const [text, meaning] of MEANINGS)
  test(`${text} is understood`, () => {
    assert.deepEqual(parseReference(text, HUB), meaning);
  });

test("a file under HF_ENDPOINT is the hub's, with or without a path in it", () => {
  const file = { kind: "hub", repo: "o/r", revision: "main", file: "m.gguf" };
  for (const endpoint of [
    "https://mirror.example",
    "https://mirror.example/hf",
  ])
    assert.deepEqual(
      parseReference(`${endpoint}/o/r/resolve/main/m.gguf`, endpoint),
      file,
    );
});

const REFUSED = [
  "hf:",
  "hf:repo",
  "hf:/repo",
  "hf:o/",
  "hf:o/..",
  "hf:../r",
  "hf:o/r:",
  "hf:o/r/",
  "hf:o/r/readme.md",
  "hf:o/r/../../m.gguf",
  "hf:o/r/a//m.gguf",
  "hf:o/r@",
  "hf:o/r@..",
  "hf:o/r@a..b@c",
  "hf:o/r@a:Q4@b",
  "hf:o/r:Q4 K",
  "hf:o/r@%2e%2e%2f%2e%2e:Q4",
  "hf:o/r@%00:Q4",
  "https://",
  "https://user:secret@example.org/m.gguf",
  "http://example.org/m.gguf",
  "http://127.0.0.1.example.org/m.gguf",
  "https://example.org/m.zip",
  "https://example.org/",
  "https://example.org/%2e%2e%2fm.gguf",
  "https://example.org/m.gguf#sha256=12",
  "https://example.org/m.gguf#part",
];

for (const text of REFUSED)
  test(`${JSON.stringify(text)} is refused`, () => {
    assert.throws(
      () => parseReference(text, HUB),
      (error) =>
        isShoalError(error, "USAGE") && !error.message.includes("secret"),
    );
  });

test("only paths that stay where they are put are safe", () => {
  for (const path of ["a", "a/b.gguf", "a.b/c", "ä/ö", ".gitattributes"])
    assert.ok(isSafePath(path), path);
  const bad = [
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    ".",
    "a\\b",
    "c:d",
    "a\u0000",
    "a.",
    "a ",
    "a".repeat(256),
    "a/".repeat(600),
  ];
  for (const path of bad) assert.ok(!isSafePath(path), JSON.stringify(path));
});
