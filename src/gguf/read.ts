/**
 * Reads a GGUF header. The file, little-endian throughout:
 *
 *     "GGUF"  u32 version (2 or 3)  u64 tensors  u64 key-values
 *     key-values: string key, u32 type, value                 (a string: u64 length, bytes; an array: u32 type, u64 length, values)
 *     tensors:    string name, u32 dimensions, u64 each, u32 type, u64 offset from the data's start
 *     zeros to the next multiple of `general.alignment` (default 32), then the tensors' data, each at such a multiple
 *
 * Source: ggml/include/gguf.h and ggml/src/gguf.cpp of llama.cpp v0.5.0. Version 3 only added big-endian files, which nobody publishes.
 */
import { HeaderCursor } from "./cursor.ts";
import { type ByteFile, openBytes } from "./files.ts";
import { ggmlTypeOfId, tensorSize, type GgmlTypeName } from "./ggml-types.ts";
import {
  DEFAULT_ALIGNMENT,
  MAX_ALIGNMENT,
  MAX_ARRAY_ELEMENTS,
  MAX_DIMENSIONS,
  MAX_KEY_BYTES,
  MAX_METADATA_ENTRIES,
  MAX_TENSOR_NAME_BYTES,
  MAX_TENSORS,
} from "./limits.ts";
import { readValue } from "./read-values.ts";
import type { GgufMetadata, GgufValue } from "./values.ts";

export interface GgufTensor {
  name: string;
  type: GgmlTypeName;
  /** ggml's order: ne[0], a row's length, first. */
  shape: readonly number[];
  /** Which of the model's files holds it. */
  fileIndex: number;
  /** Position of its data in that file, in bytes from the file's start. */
  offset: number;
  sizeBytes: number;
}

export interface GgufFile {
  path: string;
  version: number;
  alignment: number;
  metadata: GgufMetadata;
  tensors: readonly GgufTensor[];
  /** Where tensor data begins. In a file without tensors it may be past the end, because such a file ends unaligned after its metadata. */
  dataOffset: number;
  sizeBytes: number;
}

export interface ReadOptions {
  signal?: AbortSignal;
  /** The value of the tensors' `fileIndex`. */
  fileIndex?: number;
  /** Opens a file by its path. Default: from this disk. */
  open?: (path: string) => Promise<ByteFile>;
}

/** Reads and checks a file's header. Tensor data is not read, but must be in the file. */
export async function readGguf(
  path: string,
  options: ReadOptions = {},
): Promise<GgufFile> {
  const { signal, fileIndex = 0, open = openBytes } = options;
  const file = await open(path);
  try {
    const cursor = new HeaderCursor(file, path, signal);
    const { version, tensorCount, entryCount } = await readPreamble(cursor);
    const metadata = await readMetadata(cursor, entryCount);
    const alignment = alignmentOf(cursor, metadata);
    const tensors = await readTensorTable(cursor, tensorCount, fileIndex);
    const dataOffset = Math.ceil(cursor.offset / alignment) * alignment;
    for (const tensor of tensors) tensor.offset += dataOffset;
    checkPlaces(cursor, tensors, alignment);
    return {
      path,
      version,
      alignment,
      metadata,
      tensors,
      dataOffset,
      sizeBytes: file.sizeBytes,
    };
  } finally {
    await file.close();
  }
}

async function readPreamble(
  cursor: HeaderCursor,
): Promise<{ version: number; tensorCount: number; entryCount: number }> {
  if (cursor.sizeBytes < 4)
    throw cursor.error("GGUF_NOT_GGUF", "too short to be a GGUF file");
  await cursor.need(4, "the magic");
  if (cursor.bytes(4).toString("latin1") !== "GGUF")
    throw cursor.error("GGUF_NOT_GGUF", "not a GGUF file", 0);
  await cursor.need(4, "the version");
  const version = cursor.uint32();
  if (version !== 0 && (version & 0xffff) === 0) {
    throw cursor.error("GGUF_VERSION", "big-endian GGUF is not supported", 4);
  }
  if (version !== 2 && version !== 3) {
    throw cursor.error(
      "GGUF_VERSION",
      `GGUF version ${version} is not supported, only 2 and 3`,
      4,
    );
  }
  await cursor.need(16, "the counts");
  const tensorCount = cursor.count();
  const entryCount = cursor.count();
  if (!(tensorCount <= MAX_TENSORS))
    throw cursor.error("GGUF_LIMIT", `more than ${MAX_TENSORS} tensors`, 8);
  if (!(entryCount <= MAX_METADATA_ENTRIES)) {
    throw cursor.error(
      "GGUF_LIMIT",
      `more than ${MAX_METADATA_ENTRIES} key-values`,
      16,
    );
  }
  return { version, tensorCount, entryCount };
}

async function readMetadata(
  cursor: HeaderCursor,
  entryCount: number,
): Promise<GgufMetadata> {
  const metadata = new Map<string, GgufValue>();
  const budget = { left: MAX_ARRAY_ELEMENTS };
  for (let i = 0; i < entryCount; i++) {
    const start = cursor.offset;
    const key = await cursor.string(MAX_KEY_BYTES, `key ${i}`);
    if (key === "")
      throw cursor.error("GGUF_CORRUPT", `key ${i} is empty`, start);
    if (metadata.has(key)) {
      throw cursor.error(
        "GGUF_CORRUPT",
        `key ${i} ${quote(key)} appears twice`,
        start,
      );
    }
    const value = await readValue(cursor, `the value of ${quote(key)}`, budget);
    metadata.set(key, value);
  }
  return metadata;
}

function alignmentOf(cursor: HeaderCursor, metadata: GgufMetadata): number {
  const entry = metadata.get("general.alignment");
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const value = entry.type === "uint32" ? entry.value : 0;
  if (value === 0 || (value & (value - 1)) !== 0) {
    throw cursor.error(
      "GGUF_CORRUPT",
      "general.alignment is not a 32-bit power of two",
    );
  }
  if (value > MAX_ALIGNMENT) {
    throw cursor.error(
      "GGUF_LIMIT",
      `general.alignment ${value} is greater than ${MAX_ALIGNMENT}`,
    );
  }
  return value;
}

/** The tensors, with offsets from the start of the data. */
async function readTensorTable(
  cursor: HeaderCursor,
  tensorCount: number,
  fileIndex: number,
): Promise<GgufTensor[]> {
  const tensors: GgufTensor[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const start = cursor.offset;
    const name = await cursor.string(
      MAX_TENSOR_NAME_BYTES,
      `the name of tensor ${i}`,
    );
    if (names.has(name)) {
      throw cursor.error(
        "GGUF_CORRUPT",
        `tensor ${i} ${quote(name)} appears twice`,
        start,
      );
    }
    names.add(name);
    tensors.push({ name, fileIndex, ...(await readTensor(cursor, name)) });
  }
  return tensors;
}

async function readTensor(
  cursor: HeaderCursor,
  name: string,
): Promise<Pick<GgufTensor, "type" | "shape" | "offset" | "sizeBytes">> {
  const what = `tensor ${quote(name)}`;
  const start = cursor.offset;
  await cursor.need(4, what);
  const dimensions = cursor.uint32();
  if (dimensions > MAX_DIMENSIONS) {
    throw cursor.error(
      "GGUF_LIMIT",
      `${what} has ${dimensions} dimensions, more than ${MAX_DIMENSIONS}`,
      start,
    );
  }
  await cursor.need(dimensions * 8 + 12, what);
  const shape: number[] = [];
  for (let d = 0; d < dimensions; d++) shape.push(cursor.count());
  const type = ggmlTypeOfId(cursor.uint32());
  const offset = cursor.count();
  if ("reason" in type)
    throw cursor.error("GGUF_CORRUPT", `${what}: ${type.reason}`, start);
  const sizeBytes = tensorSize(type, shape);
  if (typeof sizeBytes !== "number")
    throw cursor.error("GGUF_CORRUPT", `${what}: ${sizeBytes.reason}`, start);
  if (Number.isNaN(offset))
    throw cursor.error("GGUF_CORRUPT", `${what}: its offset overflows`, start);
  return { type: type.name, shape, offset, sizeBytes };
}

/** Every tensor lies in the file, aligned, and shares no byte with another. */
function checkPlaces(
  cursor: HeaderCursor,
  tensors: readonly GgufTensor[],
  alignment: number,
): void {
  let end = 0;
  let before = "";
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset)) {
    const what = `tensor ${quote(tensor.name)}`;
    const { offset, sizeBytes } = tensor;
    if (offset % alignment !== 0) {
      throw cursor.error(
        "GGUF_CORRUPT",
        `the data of ${what} is not aligned to ${alignment}`,
        offset,
      );
    }
    if (offset + sizeBytes > cursor.sizeBytes) {
      throw cursor.error(
        "GGUF_TRUNCATED",
        `the data of ${what} ends at byte ${offset + sizeBytes}, the file at ${cursor.sizeBytes}`,
        offset,
      );
    }
    if (offset < end) {
      throw cursor.error(
        "GGUF_CORRUPT",
        `the data of ${what} overlaps that of ${quote(before)}`,
        offset,
      );
    }
    end = offset + sizeBytes;
    before = tensor.name;
  }
}

/** A name from the file, shortened for one line of an error. */
function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}
