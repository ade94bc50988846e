/** Header bytes from key-values and tensors: GGUF version 3, data dense and in order, as llama.cpp requires it. */
import { Buffer } from "node:buffer";
import { ggmlType, tensorSizeBytes, type GgmlTypeName } from "./ggml-types.ts";
import { DEFAULT_ALIGNMENT } from "./limits.ts";
import { encodeScalar } from "./scalars.ts";
import { encodeText } from "./text.ts";
import {
  uintOf,
  VALUE_TYPES,
  type GgufArray,
  type GgufMetadata,
  type GgufValue,
  type GgufValueType,
} from "./values.ts";

export interface TensorSpec {
  name: string;
  type: GgmlTypeName;
  /** ggml's order: ne[0] first. */
  shape: readonly number[];
}

export interface GgufLayout {
  alignment: number;
  /** The whole header with its padding: tensor data begins at `header.length`. */
  header: Uint8Array;
  /** Each tensor's position, in bytes from the file's start. */
  offsets: readonly number[];
  /** The last tensor's end, padded: the file's size. */
  endOffset: number;
}

/** The alignment is `metadata`'s `general.alignment`, 32 without it. */
export function encodeHeader(file: {
  metadata: GgufMetadata;
  tensors: readonly TensorSpec[];
}): GgufLayout {
  const { metadata, tensors } = file;
  const alignment = uintOf(metadata, "general.alignment") ?? DEFAULT_ALIGNMENT;
  const out = new HeaderWriter();
  out.bytes(Buffer.from("GGUF", "latin1"));
  out.uint32(3);
  out.uint64(tensors.length);
  out.uint64(metadata.size);
  for (const [key, value] of metadata) {
    out.string(key);
    out.type(value.type);
    out.value(value);
  }
  let dataBytes = 0;
  const relative: number[] = [];
  for (const { name, type, shape } of tensors) {
    out.string(name);
    out.uint32(shape.length);
    for (const n of shape) out.uint64(n);
    out.uint32(ggmlType(type).id);
    out.uint64(dataBytes);
    relative.push(dataBytes);
    dataBytes = alignUp(dataBytes + tensorSizeBytes(type, shape), alignment);
  }
  // Without tensors a file ends with its metadata, as llama.cpp's own vocabulary files do.
  if (tensors.length > 0) out.pad(alignment);
  const header = out.finish();
  return {
    alignment,
    header,
    offsets: relative.map((offset) => header.length + offset),
    endOffset: header.length + dataBytes,
  };
}

export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** One growing block: a vocabulary of hundreds of thousands of strings would make as many small ones. */
class HeaderWriter {
  #buffer = Buffer.alloc(4096);
  #length = 0;

  uint32(value: number): void {
    const at = this.#reserve(4);
    this.#buffer.writeUInt32LE(value, at);
  }

  uint64(value: number): void {
    const at = this.#reserve(8);
    this.#buffer.writeUInt32LE(value % 2 ** 32, at);
    this.#buffer.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#buffer.set(bytes, at);
  }

  string(text: string): void {
    const bytes = encodeText(text);
    this.uint64(bytes.length);
    this.bytes(bytes);
  }

  type(type: GgufValueType): void {
    this.uint32(VALUE_TYPES.indexOf(type));
  }

  value(entry: GgufValue): void {
    if (entry.type === "string") this.string(entry.value);
    else if (entry.type === "array") this.#array(entry);
    else if (entry.type === "bool") this.bytes(Uint8Array.of(+entry.value));
    else this.bytes(encodeScalar(entry));
  }

  pad(alignment: number): void {
    this.#reserve(alignUp(this.#length, alignment) - this.#length);
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #array(array: GgufArray): void {
    this.type(array.element);
    this.uint64(array.value.length);
    if (array.element === "string") {
      for (const text of array.value) this.string(text);
    } else if (array.element === "array") {
      for (const inner of array.value) this.#array(inner);
    } else if (array.element === "bool") {
      this.bytes(Uint8Array.from(array.value, Number));
    } else {
      const { buffer, byteOffset, byteLength } = array.value;
      this.bytes(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }

  /** Makes room for `bytes` more, zeroed; returns their position. */
  #reserve(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const grown = Buffer.alloc(
        Math.max(this.#length, this.#buffer.length * 2),
      );
      this.#buffer.copy(grown);
      this.#buffer = grown;
    }
    return at;
  }
}
