/** Metadata values with their types, so that they can be written again byte for byte, and helpers to read them. */

import type { Scalar } from "./scalars.ts";

/** Value types by id (`enum gguf_type`, ggml/include/gguf.h). */
export const VALUE_TYPES = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "float32",
  "bool",
  "string",
  "array",
  "uint64",
  "int64",
  "float64",
] as const;

export type GgufValueType = (typeof VALUE_TYPES)[number];

/** How an array's elements are stored in memory. */
export interface GgufElements {
  uint8: Uint8Array;
  int8: Int8Array;
  uint16: Uint16Array;
  int16: Int16Array;
  uint32: Uint32Array;
  int32: Int32Array;
  float32: Float32Array;
  uint64: BigUint64Array;
  int64: BigInt64Array;
  float64: Float64Array;
  bool: readonly boolean[];
  string: readonly string[];
  array: readonly GgufArray[];
}

export type GgufArray = {
  [E in keyof GgufElements]: {
    type: "array";
    element: E;
    value: GgufElements[E];
  };
}[keyof GgufElements];

export type GgufValue =
  | Scalar
  | { type: "bool"; value: boolean }
  | { type: "string"; value: string }
  | GgufArray;

/** Key-values in the file's order. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Typed arrays by element type. */
export const NUMBER_ARRAYS = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  float64: Float64Array,
} as const;

export function isNumberArrayType(
  type: GgufValueType,
): type is keyof typeof NUMBER_ARRAYS {
  return Object.hasOwn(NUMBER_ARRAYS, type);
}

/** The value of a string key; undefined if it is absent or of another type. */
export function stringOf(
  metadata: GgufMetadata,
  key: string,
): string | undefined {
  const entry = metadata.get(key);
  return entry?.type === "string" ? entry.value : undefined;
}

/** The value of an integer key of any width, if it is not negative and exact as a number; else undefined. */
export function uintOf(
  metadata: GgufMetadata,
  key: string,
): number | undefined {
  const entry = metadata.get(key);
  if (entry === undefined) return undefined;
  if (typeof entry.value !== "number" && typeof entry.value !== "bigint")
    return undefined;
  const value = Number(entry.value);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** The elements of an array of strings; undefined if it is absent or of another type. */
export function stringsOf(
  metadata: GgufMetadata,
  key: string,
): readonly string[] | undefined {
  const entry = metadata.get(key);
  return entry?.type === "array" && entry.element === "string"
    ? entry.value
    : undefined;
}
