/** Which files of a repository a reference means. The lists have the forms that publishers use. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import { chooseFiles } from "./choose-files.ts";

const split = (stem: string, count: number): string[] =>
  Array.from(
    { length: count },
    (_, i) =>
      `${stem}-${String(i + 1).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.gguf`,
  );

const REPOS: Readonly<Record<string, readonly string[]>> = {
  plain: [
    ".gitattributes",
    "README.md",
    "m-IQ4_NL.gguf",
    "m-Q2_K.gguf",
    "m-Q4_0.gguf",
    "m-Q4_K_M.gguf",
    "m-Q4_K_S.gguf",
    "m-Q8_0.gguf",
    "m-f16.gguf",
  ],
  dots: ["m.Q4_K_M.gguf", "m.Q5_K_M.gguf", "m.imatrix"],
  dynamic: ["m-Q4_K_M.gguf", "m-UD-Q4_K_M.gguf", "m-UD-Q4_K_XL.gguf"],
  lower: ["m-q4_k_m.gguf", "m-q8_0.gguf"],
  folders: [
    ...split("Q4_K_M/m-Q4_K_M", 3).reverse(),
    ...split("Q8_0/m-Q8_0", 12),
    "mmproj-F16.gguf",
    "MTP/mtp-m-Q4_K_M.gguf",
    "m.imatrix.gguf",
  ],
  eight: ["m-Q8_0.gguf", "m-F16.gguf"],
  one: ["m-F16.gguf", "mmproj-m-F16.gguf"],
  none: ["model.safetensors", "mmproj-m.gguf"],
  odd: ["m-Q2_K.gguf", "m-Q3_K_L.gguf"],
  two: ["small-Q4_K_M.gguf", "large-Q4_K_M.gguf"],
  suffixed: ["m-Q4_K_M-v2.gguf", "m-Q6_K-v2.gguf"],
  torn: split("m-Q4_K_M", 3).slice(0, 2),
  cuts: [...split("m-Q4_K_M", 2), "m-Q4_K_M.gguf"],
};

function choose(
  repo: string,
  wanted: { tag?: string; file?: string },
): { files: string[]; projectors: string[] } {
  const files = REPOS[repo]!.map((path) => ({ path, sizeBytes: 1024 }));
  const reference = { kind: "hub", repo, revision: "main", ...wanted } as const;
  const chosen = chooseFiles(files, reference);
  return { ...chosen, files: chosen.files.map(({ path }) => path) };
}

const CHOICES: readonly (readonly [
  string,
  { tag?: string; file?: string },
  string[],
])[] = [
  ["plain", {}, ["m-Q4_K_M.gguf"]],
  ["plain", { tag: "q4_k_m" }, ["m-Q4_K_M.gguf"]],
  ["plain", { tag: "Q4_0" }, ["m-Q4_0.gguf"]],
  ["plain", { tag: "F16" }, ["m-f16.gguf"]],
  ["plain", { file: "M-q2_k.GGUF" }, ["m-Q2_K.gguf"]],
  ["dots", { tag: "Q5_K_M" }, ["m.Q5_K_M.gguf"]],
  ["dynamic", {}, ["m-Q4_K_M.gguf"]],
  ["dynamic", { tag: "UD-Q4_K_M" }, ["m-UD-Q4_K_M.gguf"]],
  ["dynamic", { tag: "Q4_K_XL" }, ["m-UD-Q4_K_XL.gguf"]],
  ["lower", {}, ["m-q4_k_m.gguf"]],
  ["folders", {}, split("Q4_K_M/m-Q4_K_M", 3)],
  ["folders", { tag: "Q8_0" }, split("Q8_0/m-Q8_0", 12)],
  [
    "folders",
    { file: split("Q4_K_M/m-Q4_K_M", 3)[1]! },
    split("Q4_K_M/m-Q4_K_M", 3),
  ],
  ["eight", {}, ["m-Q8_0.gguf"]],
  ["one", {}, ["m-F16.gguf"]],
  ["suffixed", {}, ["m-Q4_K_M-v2.gguf"]],
  ["suffixed", { tag: "Q6_K" }, ["m-Q6_K-v2.gguf"]],
  ["cuts", { file: "m-Q4_K_M.gguf" }, ["m-Q4_K_M.gguf"]],
];

for (const [repo, wanted, files] of CHOICES)
  test(`${repo}: ${JSON.stringify(wanted)} is ${files[0]}`, () => {
    assert.deepEqual(choose(repo, wanted).files, files);
  });

const REFUSED: readonly (readonly [
  string,
  { tag?: string; file?: string },
  RegExp,
])[] = [
  [
    "plain",
    { tag: "Q4" },
    /has no Q4\. There is: IQ4_NL \(1\.00 KiB\), Q2_K .*, f16/,
  ],
  ["plain", { tag: "Q4_K" }, /has no Q4_K\./],
  ["plain", { tag: "Q4_NL" }, /has no Q4_NL\./],
  ["plain", { tag: "4_0" }, /has no 4_0\./],
  ["plain", { file: "x.gguf" }, /has no x\.gguf\. There is: /],
  [
    "odd",
    {},
    /has no Q4_K_M and no Q8_0: name a quantization\. There is: Q2_K .*, Q3_K_L/,
  ],
  [
    "two",
    {},
    /2 models with Q4_K_M: name the file\. There is: large-Q4_K_M\.gguf .*, small-Q4_K_M\.gguf/,
  ],
  ["none", {}, /has no model in GGUF/],
  ["one", { file: "mmproj-m-F16.gguf" }, /is no model but belongs to one/],
  ["torn", {}, /m-Q4_K_M consists of 3 files, of which torn has 2/],
  ["cuts", {}, /2 models with Q4_K_M/],
];

for (const [repo, wanted, message] of REFUSED)
  test(`${repo}: ${JSON.stringify(wanted)} is refused with what there is`, () => {
    assert.throws(
      () => choose(repo, wanted),
      (error) =>
        isShoalError(error, "HUB_CHOICE") && message.test(error.message),
    );
  });

test("a projector beside the model is named and not chosen", () => {
  assert.deepEqual(choose("folders", {}).projectors, ["mmproj-F16.gguf"]);
});

test("a repository with thousands of models is listed in part", () => {
  const files = Array.from({ length: 5000 }, (_, i) => ({
    path: `m-${i}-Q2_K.gguf`,
    sizeBytes: 1,
  }));
  const reference = { kind: "hub", repo: "o/r", revision: "main" } as const;
  assert.throws(
    () => chooseFiles(files, reference),
    (error) =>
      isShoalError(error, "HUB_CHOICE") &&
      error.message.endsWith("4960 more") &&
      error.message.length < 2_000,
  );
});
