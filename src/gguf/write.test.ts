import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import type { ByteSource } from "./atomic.ts";
import { readGguf } from "./read.ts";
import { writeGguf } from "./write.ts";

const WEIGHTS = new Uint8Array(64).fill(7);

function write(
  path: string,
  data: ByteSource,
  options: Parameters<typeof writeGguf>[2] = {},
): Promise<number> {
  const tensors = [{ name: "t", type: "F32", shape: [16], data } as const];
  return writeGguf(path, { metadata: new Map(), tensors }, options);
}

/** A folder with an older file of the name to be written. */
async function withOlder(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeFile(path, "older");
  return path;
}

test("data comes from memory, from a range of a file, or from generated chunks", async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, "weights");
  await writeFile(
    file,
    Buffer.concat([Buffer.alloc(10), WEIGHTS, Buffer.alloc(5)]),
  );
  const sources: ByteSource[] = [
    WEIGHTS,
    { path: file, offset: 10, sizeBytes: 64 },
    { chunks: [WEIGHTS.subarray(0, 1), WEIGHTS.subarray(1)] },
  ];
  for (const [i, source] of sources.entries()) {
    const path = join(folder, `${i}.gguf`);
    const written: number[] = [];
    const size = await write(path, source, {
      onProgress: (bytes) => written.push(bytes),
    });
    assert.equal(written.at(-1), size);
    const { tensors } = await readGguf(path);
    const bytes = await readFile(path);
    const { offset, sizeBytes } = tensors[0]!;
    assert.deepEqual(
      new Uint8Array(bytes.subarray(offset, offset + sizeBytes)),
      WEIGHTS,
    );
  }
});

const FAILURES: readonly [
  what: string,
  code: string,
  data: (path: string) => ByteSource,
  signal?: AbortSignal,
][] = [
  ["too few bytes", "INTERNAL", () => WEIGHTS.subarray(1)],
  ["too many bytes", "INTERNAL", () => ({ chunks: [WEIGHTS, WEIGHTS] })],
  [
    "a source that ends early",
    "GGUF_TRUNCATED",
    (path) => ({ path, offset: 0, sizeBytes: 64 }),
  ],
  [
    "a missing source",
    "FILE_NOT_FOUND",
    (path) => ({ path: `${path}.none`, offset: 0, sizeBytes: 64 }),
  ],
  ["an abort", "ABORTED", () => WEIGHTS, AbortSignal.abort()],
];

for (const [what, code, data, signal] of FAILURES) {
  test(`after ${what} the older file is untouched and there is nothing else`, async (t) => {
    const path = await withOlder(t);
    await assert.rejects(write(path, data(path), signal && { signal }), {
      code,
    });
    assert.equal(await readFile(path, "utf8"), "older");
    assert.deepEqual(await readdir(join(path, "..")), ["model.gguf"]);
  });
}

test("a folder that cannot be written to is an error", async (t) => {
  const path = await withOlder(t);
  await assert.rejects(write(join(path, "inside-a-file.gguf"), WEIGHTS), {
    code: "FILE_UNWRITABLE",
  });
  await assert.rejects(write(join(`${path}-none`, "a.gguf"), WEIGHTS), {
    code: "FILE_UNWRITABLE",
  });
});
