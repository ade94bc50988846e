import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import * as dagCbor from "@ipld/dag-cbor";
import { temporaryFolder } from "../../test/support/folder.ts";
import {
  writeRandomModel,
  type RandomModelOptions,
} from "../../test/support/models.ts";
import { openModel, readGguf } from "../gguf/index.ts";
import { merkleRoot } from "../lib/index.ts";
import { buildManifest } from "./build-manifest.ts";
import {
  decodeManifest,
  encodeManifest,
  manifestId,
} from "./manifest-codec.ts";
import { partById, type Manifest, type Progress } from "./manifest.ts";
import { writeMetadata } from "./parts.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

async function randomModel(
  t: TestContext,
  options: RandomModelOptions = {},
): Promise<string> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, {
    layers: 3,
    vocab: "bytes",
    ropeFreqs: true,
    ...options,
  });
  return path;
}

async function indexed(path: string): Promise<Manifest> {
  return buildManifest(await openModel(path));
}

test("the same bytes have the same id under any name", async (t) => {
  const path = await randomModel(t);
  const elsewhere = join(path, "../elsewhere");
  await mkdir(elsewhere);
  await copyFile(path, join(elsewhere, "renamed.gguf"));
  const first = encodeManifest(await indexed(path));
  const second = encodeManifest(await indexed(join(elsewhere, "renamed.gguf")));
  assert.deepEqual(first, second);
  assert.equal(manifestId(first), manifestId(second));
  // CIDv1, base32: "b", then dag-cbor (0x71), SHA2-256 (0x12), 32 bytes.
  assert.match(manifestId(first), /^bafyrei[a-z2-7]{52}$/);
});

test("one changed weight changes its part's root, no other part's, and the id", async (t) => {
  const path = await randomModel(t);
  const before = await indexed(path);
  const bytes = await readFile(path);
  const place = partById(before, "layer.1").tensors[0]!.offset;
  bytes[place] = bytes[place]! ^ 1;
  await writeFile(path, bytes);
  const after = await indexed(path);
  const changed = after.parts.filter(
    (part, i) => hex(part.root) !== hex(before.parts[i]!.root),
  );
  assert.deepEqual(
    changed.map(({ id }) => id),
    ["layer.1"],
  );
  assert.notEqual(
    manifestId(encodeManifest(after)),
    manifestId(encodeManifest(before)),
  );
});

for (const alignment of [32, 64, 8]) {
  test(`a part is its tensors, each padded to 32, from a file aligned to ${alignment}`, async (t) => {
    // Widths that are not multiples of 32 bytes: a norm takes 80, a matrix of F16 800 …
    const path = await randomModel(t, {
      embeddingLength: 20,
      heads: 2,
      kvHeads: 1,
      feedForward: 12,
      type: "F16",
      extraMetadata: [
        ["general.alignment", { type: "uint32", value: alignment }],
      ],
    });
    const bytes = await readFile(path);
    const manifest = await indexed(path);
    assert.deepEqual(manifest.files, [{ sizeBytes: bytes.length }]);
    for (const part of manifest.parts) {
      if (part.id === "metadata") continue;
      const content = Buffer.concat(
        part.tensors.flatMap(({ offset, sizeBytes }) => [
          bytes.subarray(offset, offset + sizeBytes),
          Buffer.alloc((32 - (sizeBytes % 32)) % 32),
        ]),
      );
      assert.equal(part.sizeBytes, content.length);
      assert.equal(hex(part.root), hex(merkleRoot(content)));
    }
  });
}

test("the metadata part is a separate GGUF: all key-values and the shared tensors", async (t) => {
  const path = await randomModel(t, {
    extraMetadata: [
      ["general.alignment", { type: "uint32", value: 64 }],
      ["split.count", { type: "uint16", value: 1 }],
    ],
  });
  const copy = join(path, "../metadata.gguf");
  const source = await openModel(path);
  await writeMetadata(source, copy);
  const bytes = await readFile(copy);
  const part = partById(await indexed(path), "metadata");
  assert.equal(part.sizeBytes, bytes.length);
  assert.equal(hex(part.root), hex(merkleRoot(bytes)));

  const file = await readGguf(copy);
  const expected = [...source.metadata].filter(
    ([key]) => key !== "general.alignment",
  );
  assert.deepEqual([...file.metadata], expected);
  assert.ok(file.metadata.has("tokenizer.ggml.tokens"));
  const [rope] = file.tensors;
  const original = source.tensors.find(
    ({ name }) => name === "rope_freqs.weight",
  );
  assert.equal(file.tensors.length, 1);
  assert.equal(rope?.name, "rope_freqs.weight");
  const whole = await readFile(path);
  assert.deepEqual(
    bytes.subarray(rope.offset, rope.offset + rope.sizeBytes),
    whole.subarray(original!.offset, original!.offset + original!.sizeBytes),
  );
});

test("progress rises to the end, and indexing stops when aborted", async (t) => {
  const source = await openModel(await randomModel(t));
  const seen: Progress[] = [];
  const manifest = await buildManifest(source, {
    onProgress: (progress) => seen.push(progress),
  });
  const total = manifest.parts.reduce(
    (sum, { sizeBytes }) => sum + sizeBytes,
    0,
  );
  assert.deepEqual(seen.at(-1), { doneBytes: total, totalBytes: total });
  await assert.rejects(buildManifest(source, { signal: AbortSignal.abort() }), {
    code: "ABORTED",
  });
});

test("a manifest decodes from its bytes", async (t) => {
  for (const tied of [false, true]) {
    const manifest = await indexed(
      await randomModel(t, { tied, architecture: "qwen3moe" }),
    );
    assert.deepEqual(decodeManifest(encodeManifest(manifest)), manifest);
  }
});

type Part = Manifest["parts"][number];
type Tensor = Part["tensors"][number];

/** The manifest with one part changed. */
function withPart(
  manifest: Manifest,
  id: string,
  change: (part: Part) => Partial<Part>,
): Manifest {
  return {
    ...manifest,
    parts: manifest.parts.map((part) =>
      part.id === id ? Object.assign({}, part, change(part)) : part,
    ),
  };
}

/** … with the first tensor of a part changed. */
function withTensor(
  manifest: Manifest,
  id: string,
  change: Partial<Tensor>,
): Manifest {
  return withPart(manifest, id, ({ tensors: [first, ...rest] }) => ({
    tensors: [{ ...first!, ...change }, ...rest],
  }));
}

const INVALID: readonly [
  what: string,
  change: (manifest: Manifest) => unknown,
  message?: RegExp,
][] = [
  ["version 1", (m) => ({ ...m, version: 1 })],
  ["a field too many", (m) => ({ ...m, author: "me" })],
  ["a field too few", (m) => Object.fromEntries(Object.entries(m).slice(1))],
  ["no files", (m) => ({ ...m, files: [] })],
  ["a name of a megabyte", (m) => ({ ...m, name: "n".repeat(1e6) })],
  ["a negative size", (m) => ({ ...m, contextLength: -1 })],
  ["a size that is not an integer", (m) => ({ ...m, contextLength: 1.5 })],
  [
    "a layer too few",
    (m) => ({ ...m, layerCount: 4 }),
    /parts are not those of 4 layers/,
  ],
  [
    "a border behind the last layer",
    (m) => ({ ...m, cuts: { ...m.cuts, borders: [1, 99] } }),
    /rules for cutting are not those/,
  ],
  [
    "borders out of order",
    (m) => ({ ...m, cuts: { ...m.cuts, borders: [2, 1] } }),
  ],
  [
    "a need that no layer meets",
    (m) => ({ ...m, cuts: { ...m.cuts, needs: [[]] } }),
  ],
  [
    "costs of other layers",
    (m) => ({ ...m, layerCosts: [1] }),
    /rules for cutting are not those/,
  ],
  [
    "memory of other layers",
    (m) => ({ ...m, layerMemory: m.layerMemory.slice(1) }),
    /rules for cutting are not those/,
  ],
  [
    "memory below zero",
    (m) => ({
      ...m,
      layerMemory: m.layerMemory.map(() => ({
        bytesPerToken: -1,
        bytesPerSession: 0,
      })),
    }),
  ],
  ["too many layers", (m) => ({ ...m, layerCount: 513 })],
  [
    "parts out of order",
    (m) => ({ ...m, parts: m.parts.toReversed() }),
    /parts are not those/,
  ],
  [
    "a part there twice",
    (m) => ({ ...m, parts: [...m.parts, m.parts[0]] }),
    /parts are not those/,
  ],
  [
    "a root of 31 bytes",
    (m) => withPart(m, "output", () => ({ root: new Uint8Array(31) })),
  ],
  [
    "a part that claims to be longer",
    (m) =>
      withPart(m, "layer.0", (part) => ({ sizeBytes: part.sizeBytes + 32 })),
    /size of part layer\.0 does not match/,
  ],
  [
    "a metadata part without a header",
    (m) => withPart(m, "metadata", () => ({ sizeBytes: 32 })),
    /size of part metadata does not match/,
  ],
  [
    "a tensor in the wrong part",
    (m) => withTensor(m, "layer.0", { name: "blk.1.attn_norm.weight" }),
    /does not belong/,
  ],
  [
    "a tensor there twice",
    (m) =>
      withPart(m, "layer.0", ({ tensors }) => ({
        tensors: [...tensors, tensors[0]!],
      })),
    /appears twice/,
  ],
  [
    "a tensor missing",
    (m) => withPart(m, "embedding", () => ({ tensors: [], sizeBytes: 32 })),
    /token_embd\.weight is missing/,
  ],
  [
    "a tensor of another size than its shape",
    (m) => withTensor(m, "output", { sizeBytes: 64 }),
    /does not match its shape/,
  ],
  [
    "a tensor outside the files",
    (m) => withTensor(m, "output", { offset: 2 ** 52 }),
    /outside the files/,
  ],
  [
    "a tensor of a missing file",
    (m) => withTensor(m, "output", { fileIndex: 1 }),
    /outside the files/,
  ],
  [
    "another vocabulary than the table's",
    (m) => ({ ...m, vocabSize: 1 }),
    /embedding table/,
  ],
  [
    "a tied head that is not tied",
    (m) => ({ ...m, tied: true }),
    /whether the head is tied/,
  ],
];

test("a manifest that contradicts itself is refused", async (t) => {
  const manifest = await indexed(await randomModel(t));
  for (const [what, change, message = /^invalid manifest: /] of INVALID) {
    await t.test(what, () => {
      const changed = change(manifest) as Manifest;
      assert.throws(() => decodeManifest(encodeManifest(changed)), {
        code: "MANIFEST_INVALID",
        message,
      });
    });
  }
});

test("bytes that are not a manifest are refused", async (t) => {
  const bytes = encodeManifest(await indexed(await randomModel(t)));
  const wrong: Uint8Array[] = [
    new Uint8Array(),
    Buffer.from("not cbor at all"),
    bytes.subarray(0, -1),
    Buffer.concat([bytes, Buffer.of(0)]),
    dagCbor.encode([1, 2, 3]),
    new Uint8Array(16 * 1024 * 1024 + 1),
    Buffer.alloc(100_000, 0x81), // arrays in arrays in arrays …
    Buffer.from("9b7fffffffffffffff", "hex"), // an array of 2^63 - 1 elements
  ];
  for (const [i, candidate] of wrong.entries()) {
    assert.throws(
      () => decodeManifest(candidate),
      { code: "MANIFEST_INVALID" },
      `${i}`,
    );
  }
});

test("a manifest of a family that this version does not know is refused by name", async (t) => {
  const manifest = await indexed(await randomModel(t));
  const bytes = encodeManifest({ ...manifest, architecture: "gemma3n" });
  assert.throws(() => decodeManifest(bytes), {
    code: "MODEL_ARCHITECTURE",
    message: /architecture 'gemma3n' is not supported: llama\.cpp/,
  });
});
