import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { ShoalError } from "../lib/index.ts";
import { readGguf } from "./read.ts";

/** A number is a uint32, a bigint a uint64, a string a GGUF string. */
type Part = number | bigint | string | Buffer;

/** Bytes of a file, part by part. */
function bytesOf(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (Buffer.isBuffer(part)) return part;
      if (typeof part === "string") {
        const text = Buffer.from(part);
        return Buffer.concat([bytesOf(BigInt(text.length)), text]);
      }
      const bytes = Buffer.alloc(typeof part === "number" ? 4 : 8);
      if (typeof part === "number") bytes.writeUInt32LE(part);
      else bytes.writeBigUInt64LE(part);
      return bytes;
    }),
  );
}

const MAGIC = Buffer.from("GGUF");
const HUGE = 2n ** 60n;
const preamble = (tensors: bigint, entries: bigint): Buffer =>
  bytesOf(MAGIC, 3, tensors, entries);
const DATA = Buffer.alloc(512);
/** One key, k, and what follows it. */
const keyed = (...value: Part[]): Buffer =>
  bytesOf(preamble(0n, 1n), "k", ...value);
const aligned = (...value: Part[]): Buffer =>
  bytesOf(preamble(0n, 1n), "general.alignment", ...value);
/** One tensor, t, then zeros: more than enough data. */
const tensor = (...entry: (number | bigint)[]): Buffer =>
  bytesOf(preamble(1n, 0n), "t", ...entry, DATA);
/** Two vectors of F32. */
const tensors = (
  ...entries: [name: string, length: bigint, offset: bigint][]
): Buffer =>
  bytesOf(
    preamble(2n, 0n),
    ...entries.flatMap(([name, length, at]) => [name, 1, length, F32, at]),
    DATA,
  );

const UINT8 = 0;
const UINT32 = 4;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const F32 = 0;

const CASES: readonly [
  what: string,
  code: string,
  offset: number | undefined,
  bytes: Buffer,
][] = [
  ["an empty file", "GGUF_NOT_GGUF", 0, Buffer.alloc(0)],
  [
    "another magic",
    "GGUF_NOT_GGUF",
    0,
    Buffer.from("PK\u0003\u0004 not a model"),
  ],
  ["version 1", "GGUF_VERSION", 4, bytesOf(MAGIC, 1, 0, 0)],
  ["version 4", "GGUF_VERSION", 4, bytesOf(MAGIC, 4, 0n, 0n)],
  ["version 0", "GGUF_VERSION", 4, bytesOf(MAGIC, 0, 0n, 0n)],
  ["a big-endian file", "GGUF_VERSION", 4, bytesOf(MAGIC, 0x03000000, 0n, 0n)],
  ["too many tensors", "GGUF_LIMIT", 8, preamble(HUGE, 0n)],
  ["a tensor count over 2^53", "GGUF_LIMIT", 8, preamble(2n ** 64n - 1n, 0n)],
  ["too many key-values", "GGUF_LIMIT", 16, preamble(0n, HUGE)],
  [
    "an empty key",
    "GGUF_CORRUPT",
    24,
    bytesOf(preamble(0n, 1n), "", UINT8, DATA),
  ],
  [
    "a key there twice",
    "GGUF_CORRUPT",
    38,
    bytesOf(
      preamble(0n, 2n),
      "k",
      UINT8,
      Buffer.of(1),
      "k",
      UINT8,
      Buffer.of(1),
    ),
  ],
  [
    "a key longer than allowed",
    "GGUF_LIMIT",
    24,
    bytesOf(preamble(0n, 1n), HUGE, DATA),
  ],
  [
    "a key longer than the file",
    "GGUF_TRUNCATED",
    32,
    bytesOf(preamble(0n, 1n), 60_000n, DATA),
  ],
  ["an unknown value type", "GGUF_CORRUPT", 33, keyed(13, DATA)],
  ["a bool of 2", "GGUF_CORRUPT", 37, keyed(BOOL, Buffer.of(2))],
  ["a string longer than allowed", "GGUF_LIMIT", 37, keyed(STRING, HUGE, DATA)],
  [
    "a string longer than the file",
    "GGUF_TRUNCATED",
    45,
    keyed(STRING, 10_000_000n, DATA),
  ],
  [
    "an array longer than allowed",
    "GGUF_LIMIT",
    37,
    keyed(ARRAY, UINT8, HUGE, DATA),
  ],
  [
    "an array longer than the file",
    "GGUF_TRUNCATED",
    49,
    keyed(ARRAY, UINT32, 30_000_000n, DATA),
  ],
  [
    "an array of strings longer than the file",
    "GGUF_TRUNCATED",
    49,
    keyed(ARRAY, STRING, 65n, DATA),
  ],
  [
    "arrays nested too deep",
    "GGUF_LIMIT",
    85,
    keyed(ARRAY, ARRAY, 1n, ARRAY, 1n, ARRAY, 1n, ARRAY, 1n, UINT8, 0n, DATA),
  ],
  ["an alignment of 48", "GGUF_CORRUPT", undefined, aligned(UINT32, 48)],
  ["an alignment of 0", "GGUF_CORRUPT", undefined, aligned(UINT32, 0)],
  [
    "an alignment that is a string",
    "GGUF_CORRUPT",
    undefined,
    aligned(STRING, "32"),
  ],
  ["an alignment of 2 GiB", "GGUF_LIMIT", undefined, aligned(UINT32, 2 ** 31)],
  [
    "a tensor's name longer than llama.cpp's",
    "GGUF_LIMIT",
    24,
    bytesOf(preamble(1n, 0n), "n".repeat(64), DATA),
  ],
  ["five dimensions", "GGUF_LIMIT", 33, tensor(5)],
  ["a dimension of 0", "GGUF_CORRUPT", 33, tensor(1, 0n, F32, 0n)],
  ["a dimension of 2^63", "GGUF_CORRUPT", 33, tensor(1, 2n ** 63n, F32, 0n)],
  [
    "a product that overflows",
    "GGUF_CORRUPT",
    33,
    tensor(2, 2n ** 40n, 2n ** 40n, F32, 0n),
  ],
  [
    "a product that wraps around to 0 in 64 bits",
    "GGUF_CORRUPT",
    33,
    tensor(2, 2n ** 32n, 2n ** 32n, F32, 0n),
  ],
  ["an unknown tensor type", "GGUF_CORRUPT", 33, tensor(1, 32n, 43, 0n)],
  ["a removed tensor type", "GGUF_CORRUPT", 33, tensor(1, 32n, 31, 0n)],
  [
    "rows that are not whole blocks",
    "GGUF_CORRUPT",
    33,
    tensor(1, 172n, 12, 0n),
  ],
  [
    "a tensor past the file's end",
    "GGUF_TRUNCATED",
    64,
    tensor(1, 1024n, F32, 0n),
  ],
  ["an offset over 2^53", "GGUF_CORRUPT", 33, tensor(1, 1n, F32, 2n ** 60n)],
  [
    "an offset that is not aligned",
    "GGUF_CORRUPT",
    80,
    tensor(1, 1n, F32, 16n),
  ],
  [
    "two tensors with one name",
    "GGUF_CORRUPT",
    57,
    tensors(["t", 1n, 0n], ["t", 1n, 32n]),
  ],
  [
    "two tensors at one position",
    "GGUF_CORRUPT",
    96,
    tensors(["a", 1n, 0n], ["b", 1n, 0n]),
  ],
  [
    "two tensors that overlap",
    "GGUF_CORRUPT",
    128,
    tensors(["a", 16n, 0n], ["b", 1n, 32n]),
  ],
];

test("an error says what is wrong at which byte", async (t) => {
  const path = join(await temporaryFolder(t), "bad.gguf");
  for (const [what, code, offset, bytes] of CASES) {
    await t.test(what, async () => {
      await writeFile(path, bytes);
      await assert.rejects(readGguf(path), (error) => {
        assert.ok(error instanceof ShoalError);
        assert.equal(
          `${error.code} ${error.message}`.slice(0, code.length),
          code,
        );
        assert.equal(error.details.path, path);
        if (offset !== undefined) assert.equal(error.details.offset, offset);
        assert.match(error.message, /^bad\.gguf: .+ \(at byte \d+\)$/);
        return true;
      });
    });
  }
});

test("a missing file and something that is not a file are refused", async (t) => {
  const folder = await temporaryFolder(t);
  await assert.rejects(readGguf(folder), { code: "FILE_UNREADABLE" });
  await assert.rejects(readGguf(join(folder, "none.gguf")), {
    code: "FILE_NOT_FOUND",
  });
});
