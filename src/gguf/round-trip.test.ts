import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, testData } from "../../test/support/folder.ts";
import { Random } from "../../test/support/random.ts";
import { encodeHeader } from "./encode.ts";
import { GGML_TYPES, tensorSizeBytes } from "./ggml-types.ts";
import { readGguf } from "./read.ts";
import type { GgufValue } from "./values.ts";
import { writeGguf, type TensorSource } from "./write.ts";
import { decodeText, encodeText } from "./text.ts";

/** Every value type, at the ends of its range, alone and in an array. */
const VALUES: readonly (readonly [string, GgufValue])[] = [
  ["uint8", { type: "uint8", value: 255 }],
  ["int8", { type: "int8", value: -128 }],
  ["uint16", { type: "uint16", value: 65_535 }],
  ["int16", { type: "int16", value: -32_768 }],
  ["uint32", { type: "uint32", value: 4_294_967_295 }],
  ["int32", { type: "int32", value: -2_147_483_648 }],
  ["float32", { type: "float32", value: Math.fround(0.1) }],
  ["float32 infinite", { type: "float32", value: -Infinity }],
  ["float64", { type: "float64", value: -0 }],
  ["uint64", { type: "uint64", value: 2n ** 64n - 1n }],
  ["int64", { type: "int64", value: -(2n ** 63n) }],
  ["true", { type: "bool", value: true }],
  ["false", { type: "bool", value: false }],
  ["string", { type: "string", value: "grüß 🐟 \u0000 \uFEFFbom" }],
  ["empty string", { type: "string", value: "" }],
  ["uint8s", array("uint8", Uint8Array.of(0, 255))],
  ["int8s", array("int8", Int8Array.of(-128, 127))],
  ["uint16s", array("uint16", Uint16Array.of(0, 65_535))],
  ["int16s", array("int16", Int16Array.of(-32_768, 32_767))],
  ["uint32s", array("uint32", Uint32Array.of(0, 4_294_967_295))],
  ["int32s", array("int32", Int32Array.of(-2_147_483_648, 1))],
  ["float32s", array("float32", Float32Array.of(0.5, NaN, Infinity))],
  ["uint64s", array("uint64", BigUint64Array.of(0n, 2n ** 64n - 1n))],
  ["int64s", array("int64", BigInt64Array.of(-(2n ** 63n), 1n))],
  ["float64s", array("float64", Float64Array.of(Math.PI, -0))],
  ["bools", array("bool", [true, false, true])],
  ["strings", array("string", ["", "▁the", "<0x0A>"])],
  ["no strings", array("string", [])],
  ["no numbers", array("float32", new Float32Array(0))],
  [
    "arrays",
    array("array", [
      { type: "array", element: "string", value: ["a"] },
      { type: "array", element: "uint8", value: Uint8Array.of(1) },
    ]),
  ],
];

function array(element: string, value: unknown): GgufValue {
  return { type: "array", element, value } as GgufValue;
}

/** A tensor of each type with different bytes, so that a swap is noticed. */
function tensorOfEachType(): TensorSource[] {
  return GGML_TYPES.map(({ name, id, blockElements }) => {
    const shape = [blockElements, 2, 3];
    const data = new Uint8Array(tensorSizeBytes(name, shape)).fill(id + 1);
    return { name: `tensor.${name}`, type: name, shape, data };
  });
}

for (const alignment of [1, 8, 32, 64, 4096, 65_536]) {
  test(`every value and tensor type reads back as written, aligned to ${alignment}`, async (t) => {
    const path = join(await temporaryFolder(t), "all.gguf");
    const metadata = new Map<string, GgufValue>([
      ...VALUES,
      ["general.alignment", { type: "uint32", value: alignment }],
    ]);
    const tensors = tensorOfEachType();
    const size = await writeGguf(path, { metadata, tensors });
    const bytes = await readFile(path);
    assert.equal(bytes.length, size);

    const file = await readGguf(path);
    assert.deepEqual([...file.metadata], [...metadata]);
    assert.equal(file.alignment, alignment);
    assert.equal(file.tensors.length, tensors.length);
    for (const [i, tensor] of file.tensors.entries()) {
      const { name, type, shape, data } = tensors[i]!;
      assert.deepEqual(
        { name: tensor.name, type: tensor.type, shape: tensor.shape },
        { name, type, shape },
      );
      assert.equal(tensor.offset % alignment, 0);
      const { offset, sizeBytes } = tensor;
      assert.deepEqual(
        new Uint8Array(bytes.subarray(offset, offset + sizeBytes)),
        data,
      );
    }
    const again = encodeHeader(file);
    assert.equal(file.dataOffset, again.header.length);
    assert.equal(again.endOffset, bytes.length);
    assert.ok(bytes.subarray(0, file.dataOffset).equals(again.header));
  });
}

test("shapes of zero to four dimensions read back", async (t) => {
  const path = join(await temporaryFolder(t), "shapes.gguf");
  const shapes = [[], [3], [3, 2], [3, 2, 1], [3, 2, 1, 5]];
  const tensors = shapes.map((shape, i): TensorSource => {
    const data = new Uint8Array(tensorSizeBytes("F32", shape)).fill(i);
    return { name: `t${i}`, type: "F32", shape, data };
  });
  await writeGguf(path, { metadata: new Map(), tensors });
  const file = await readGguf(path);
  assert.deepEqual(
    file.tensors.map(({ shape }) => shape),
    shapes,
  );
  assert.equal(file.tensors[0]?.sizeBytes, 4);
});

test("a file without tensors ends right after its metadata, and its data offset is past the end", async (t) => {
  const path = join(await temporaryFolder(t), "vocab.gguf");
  const metadata = new Map([["k", { type: "uint8" as const, value: 1 }]]);
  const size = await writeGguf(path, { metadata, tensors: [] });
  assert.equal(size, 24 + 8 + 1 + 4 + 1); // preamble, key, type, value
  const file = await readGguf(path);
  assert.equal(file.dataOffset, 64);
  assert.deepEqual(file.tensors, []);
});

test("version 2 is read as version 3", async (t) => {
  const path = join(await temporaryFolder(t), "v2.gguf");
  await writeGguf(path, {
    metadata: new Map(VALUES),
    tensors: tensorOfEachType(),
  });
  const bytes = await readFile(path);
  bytes.writeUInt32LE(2, 4);
  await writeFile(path, bytes);
  const file = await readGguf(path);
  assert.equal(file.version, 2);
  assert.deepEqual([...file.metadata], [...VALUES]);
});

test("strings that are not UTF-8 keep their bytes", () => {
  const random = new Random(7);
  const fixed = [
    [0xff],
    [0xe2, 0x96], // a cut off ▁
    [0xc0, 0x80], // overlong
    [0xed, 0xa0, 0x80], // a surrogate
    [0xed, 0xb2, 0x80, 0x41], // U+DC80, what an escape looks like
    [0xf4, 0x90, 0x80, 0x80], // above U+10FFFF
    [...Buffer.from("a\uFFFDb")], // a real replacement character
    [...Buffer.from("🐟"), 0x80, ...Buffer.from("é")],
  ];
  const drawn = Array.from({ length: 2000 }, () =>
    // Half of them lead or continue a sequence.
    Array.from({ length: random.below(8) }, () =>
      random.below(2) === 0 ? random.below(256) : 0xa0 + random.below(80),
    ),
  );
  for (const values of [...fixed, ...drawn]) {
    const bytes = Buffer.from(values);
    assert.deepEqual(encodeText(decodeText(bytes)), bytes);
  }
});

test("150 thousand strings are read within three seconds of a processor", async (t) => {
  const path = join(await temporaryFolder(t), "vocab.gguf");
  const value = Array.from({ length: 150_000 }, (_, i) => `▁piece${i}`);
  const metadata = new Map([["tokens", array("string", value)]]);
  await writeGguf(path, { metadata, tensors: [] });
  const before = process.cpuUsage();
  const file = await readGguf(path);
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 3_000_000, `${user + system} µs of processor`);
  assert.deepEqual(file.metadata.get("tokens")?.value, value);
});

for (const name of ["stories260K.gguf", "ggml-vocab-llama-spm.gguf"]) {
  const { path, skip } = testData(name);
  test(
    `${name}: its header read and written again is the same bytes`,
    { skip },
    async () => {
      const file = await readGguf(path);
      const { header } = encodeHeader(file);
      const bytes = await readFile(path);
      assert.ok(bytes.subarray(0, header.length).equals(header));
      const last = file.tensors.at(-1);
      const end =
        last === undefined ? header.length : last.offset + last.sizeBytes;
      assert.equal(file.sizeBytes, end);
    },
  );
}
