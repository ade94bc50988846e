/**
 * The tensor types of llama.cpp v0.5.0: ids of `enum ggml_type` (ggml/include/ggml.h), block sizes of `type_traits` (ggml/src/ggml.c) and
 * the block structs' asserted sizes (ggml/src/ggml-common.h). A tensor's rows are whole blocks; a block holds `blockElements` values.
 */
import { ShoalError } from "../lib/index.ts";

/** [id, elements a block, bytes a block] */
const TYPES = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  Q8_1: [9, 32, 36],
  Q2_K: [10, 256, 84],
  Q3_K: [11, 256, 110],
  Q4_K: [12, 256, 144],
  Q5_K: [13, 256, 176],
  Q6_K: [14, 256, 210],
  Q8_K: [15, 256, 292],
  IQ2_XXS: [16, 256, 66],
  IQ2_XS: [17, 256, 74],
  IQ3_XXS: [18, 256, 98],
  IQ1_S: [19, 256, 50],
  IQ4_NL: [20, 32, 18],
  IQ3_S: [21, 256, 110],
  IQ2_S: [22, 256, 82],
  IQ4_XS: [23, 256, 136],
  I8: [24, 1, 1],
  I16: [25, 1, 2],
  I32: [26, 1, 4],
  I64: [27, 1, 8],
  F64: [28, 1, 8],
  IQ1_M: [29, 256, 56],
  BF16: [30, 1, 2],
  TQ1_0: [34, 256, 54],
  TQ2_0: [35, 256, 66],
  MXFP4: [39, 32, 17],
  NVFP4: [40, 64, 36],
  Q1_0: [41, 128, 18],
  Q2_0: [42, 64, 18],
} as const satisfies Record<
  string,
  readonly [id: number, blockElements: number, blockBytes: number]
>;

export type GgmlTypeName = keyof typeof TYPES;

export interface GgmlType {
  name: GgmlTypeName;
  id: number;
  blockElements: number;
  blockBytes: number;
}

/** Ids of removed types; llama.cpp refuses them, and so do we. */
const REMOVED: Readonly<Record<number, string>> = {
  4: "Q4_2",
  5: "Q4_3",
  31: "Q4_0_4_4",
  32: "Q4_0_4_8",
  33: "Q4_0_8_8",
  36: "IQ4_NL_4_4",
  37: "IQ4_NL_4_8",
  38: "IQ4_NL_8_8",
};

const byName = new Map<string, GgmlType>();
const byId = new Map<number, GgmlType>();
for (const [key, [id, blockElements, blockBytes]] of Object.entries(TYPES)) {
  const type = { name: key as GgmlTypeName, id, blockElements, blockBytes };
  byName.set(key, type);
  byId.set(id, type);
}

/** Every type, by rising id. */
export const GGML_TYPES: readonly GgmlType[] = [...byId.values()];

export function ggmlType(name: GgmlTypeName): GgmlType {
  const type = byName.get(name);
  if (type === undefined)
    throw new ShoalError("INTERNAL", `no such tensor type: ${name}`);
  return type;
}

/** The type of an id read from a file, or why it has none. */
export function ggmlTypeOfId(id: number): GgmlType | { reason: string } {
  const type = byId.get(id);
  if (type !== undefined) return type;
  const removed = REMOVED[id];
  return {
    reason:
      removed === undefined
        ? `unknown tensor type ${id}`
        : `tensor type ${id} (${removed}) was removed from GGUF`,
  };
}

/** Number of values in a shape; NaN if it cannot be counted exactly. A shape without dimensions is a scalar. */
function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const n of shape) {
    if (!Number.isSafeInteger(n) || n < 1) return NaN;
    count *= n;
    if (!Number.isSafeInteger(count)) return NaN;
  }
  return count;
}

/** Bytes of a tensor's data, or why it cannot have any. */
export function tensorSize(
  type: GgmlType,
  shape: readonly number[],
): number | { reason: string } {
  const elements = elementCount(shape);
  if (Number.isNaN(elements))
    return { reason: `its shape [${shape.join(", ")}] cannot be counted` };
  if ((shape[0] ?? 1) % type.blockElements !== 0) {
    return {
      reason: `its rows of ${shape[0] ?? 1} values are not a multiple of ${type.name}'s block of ${type.blockElements}`,
    };
  }
  const size = (elements / type.blockElements) * type.blockBytes;
  return Number.isSafeInteger(size)
    ? size
    : { reason: `its size overflows (${elements} values of ${type.name})` };
}

/** Bytes of the data of a tensor of ours: the shape is known to be right. `shape` is in ggml's order, ne[0] (a row's length) first. */
export function tensorSizeBytes(
  name: GgmlTypeName,
  shape: readonly number[],
): number {
  const size = tensorSize(ggmlType(name), shape);
  if (typeof size === "number") return size;
  throw new ShoalError("INTERNAL", `no ${name} tensor: ${size.reason}`);
}
