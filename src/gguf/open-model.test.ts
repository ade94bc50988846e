import assert from "node:assert/strict";
import { rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { openModel } from "./open-model.ts";
import type { GgufValue } from "./values.ts";
import { writeGguf } from "./write.ts";

const COUNT = 3;

function nameOf(index: number): string {
  return `big-${String(index + 1).padStart(5, "0")}-of-00003.gguf`;
}

/** A model of three files with two tensors each, as gguf-split writes it; `change` may alter a file's `split.*` keys. */
async function writeSplits(
  t: TestContext,
  change: (index: number, entries: Map<string, GgufValue>) => void = () => {},
): Promise<string> {
  const folder = await temporaryFolder(t);
  for (let index = 0; index < COUNT; index++) {
    const metadata = new Map<string, GgufValue>([
      ...(index === 0
        ? [["general.name", { type: "string", value: "Big" }] as const]
        : []),
      ["split.no", { type: "uint16", value: index }],
      ["split.count", { type: "uint16", value: COUNT }],
      ["split.tensors.count", { type: "int32", value: 2 * COUNT }],
    ]);
    change(index, metadata);
    const tensors = [0, 1].map((i) => ({
      name: `t${2 * index + i}`,
      type: "F32" as const,
      shape: [4],
      data: new Uint8Array(16),
    }));
    await writeGguf(join(folder, nameOf(index)), { metadata, tensors });
  }
  return folder;
}

for (const given of [0, 1, 2]) {
  test(`a model of three files opens by file ${given + 1}`, async (t) => {
    const folder = await writeSplits(t);
    const model = await openModel(join(folder, nameOf(given)));
    assert.deepEqual(
      model.files.map(({ path }) => path),
      [0, 1, 2].map((index) => join(folder, nameOf(index))),
    );
    assert.deepEqual([...model.metadata.keys()], ["general.name"]);
    assert.deepEqual(
      model.tensors.map(({ name, fileIndex }) => [name, fileIndex]),
      [
        ["t0", 0],
        ["t1", 0],
        ["t2", 1],
        ["t3", 1],
        ["t4", 2],
        ["t5", 2],
      ],
    );
  });
}

test("a missing file is named", async (t) => {
  const folder = await writeSplits(t);
  const missing = join(folder, nameOf(1));
  await unlink(missing);
  await assert.rejects(openModel(join(folder, nameOf(0))), {
    code: "GGUF_SPLIT_MISSING",
    details: { path: missing },
  });
});

test("one of several files is refused if its name does not tell the names of the others", async (t) => {
  const folder = await writeSplits(t);
  const path = join(folder, "renamed.gguf");
  await rename(join(folder, nameOf(0)), path);
  await assert.rejects(openModel(path), { code: "GGUF_SPLIT_MISSING" });
});

const WRONG: readonly [
  what: string,
  code: string,
  index: number,
  key: string,
  value: GgufValue,
][] = [
  ["number", "GGUF_CORRUPT", 1, "split.no", { type: "uint16", value: 2 }],
  ["count", "GGUF_CORRUPT", 2, "split.count", { type: "uint16", value: 4 }],
  [
    "tensor count",
    "GGUF_CORRUPT",
    0,
    "split.tensors.count",
    { type: "int32", value: 7 },
  ],
  [
    "absurd count",
    "GGUF_LIMIT",
    0,
    "split.count",
    { type: "uint16", value: 65_535 },
  ],
];

for (const [what, code, index, key, value] of WRONG) {
  test(`a file with a wrong ${what} is refused`, async (t) => {
    const folder = await writeSplits(t, (at, entries) => {
      if (at === index) entries.set(key, value);
    });
    await assert.rejects(openModel(join(folder, nameOf(0))), { code });
  });
}
