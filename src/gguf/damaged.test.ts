import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { Random } from "../../test/support/random.ts";
import { ShoalError } from "../lib/index.ts";
import { encodeHeader } from "./encode.ts";
import { readGguf } from "./read.ts";
import type { GgufMetadata } from "./values.ts";

/** A small file with a bit of everything. */
function specimen(): Buffer {
  const metadata: GgufMetadata = new Map([
    ["general.architecture", { type: "string", value: "llama" }],
    ["flag", { type: "bool", value: true }],
    ["count", { type: "uint64", value: 7n }],
    ["tokens", { type: "array", element: "string", value: ["a", "bc", ""] }],
    [
      "scores",
      { type: "array", element: "float32", value: Float32Array.of(1, 2) },
    ],
    ["bools", { type: "array", element: "bool", value: [true] }],
    [
      "nested",
      {
        type: "array",
        element: "array",
        value: [{ type: "array", element: "int8", value: Int8Array.of(-1) }],
      },
    ],
  ]);
  const tensors = [
    { name: "a", type: "F32", shape: [8, 2] },
    { name: "b", type: "Q8_0", shape: [32] },
    { name: "c", type: "F16", shape: [3] },
  ] as const;
  const { header, endOffset } = encodeHeader({ metadata, tensors });
  return Buffer.concat([header], endOffset);
}

/** Reads it. Anything but success or one of our errors fails the test, and so does taking too long. */
async function outcome(path: string): Promise<string> {
  try {
    await readGguf(path, { signal: AbortSignal.timeout(60_000) });
    return "read";
  } catch (error) {
    assert.ok(error instanceof ShoalError, String(error));
    assert.match(error.code, /^GGUF_/);
    return error.code;
  }
}

test("a file cut off at any byte is refused as truncated", async (t) => {
  const path = join(await temporaryFolder(t), "cut.gguf");
  const whole = specimen();
  // The last tensor's padding may be missing: its data is there.
  const end = whole.length - 26;
  for (let length = 0; length < whole.length; length++) {
    await writeFile(path, whole.subarray(0, length));
    const expected =
      length < 4 ? "GGUF_NOT_GGUF" : length < end ? "GGUF_TRUNCATED" : "read";
    assert.equal(await outcome(path), expected, `at ${length}`);
  }
});

test("three thousand damaged files are either read or refused", async (t) => {
  const path = join(await temporaryFolder(t), "damaged.gguf");
  const whole = specimen();
  const random = new Random(2026);
  const outcomes = new Map<string, number>();
  const extremes = [0, 1, 0x7f, 0x80, 0xff];
  for (let i = 0; i < 3000; i++) {
    const bytes = Buffer.from(whole);
    for (let changes = 1 + random.below(3); changes > 0; changes--) {
      const at = random.below(bytes.length - 8);
      const kind = random.below(4);
      if (kind === 0) bytes[at] = random.below(256);
      else if (kind === 1) bytes[at] = extremes[random.below(5)] ?? 0;
      else if (kind === 2) bytes.writeUInt32LE(random.next(), at);
      else bytes.writeBigUInt64LE(2n ** BigInt(random.below(64)), at);
    }
    await writeFile(path, bytes);
    const result = await outcome(path);
    outcomes.set(result, (outcomes.get(result) ?? 0) + 1);
  }
  // The damage reached every kind of check.
  for (const code of [
    "read",
    "GGUF_CORRUPT",
    "GGUF_TRUNCATED",
    "GGUF_LIMIT",
    "GGUF_VERSION",
    "GGUF_NOT_GGUF",
  ])
    assert.ok(outcomes.has(code), `${code}: ${JSON.stringify([...outcomes])}`);
});

test("reading stops when it is aborted", async (t) => {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeFile(path, specimen());
  await assert.rejects(readGguf(path, { signal: AbortSignal.abort() }), {
    code: "ABORTED",
  });
});
