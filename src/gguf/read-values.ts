/** Reads one metadata value. */
import type { HeaderCursor } from "./cursor.ts";
import {
  MAX_ARRAY_DEPTH,
  MAX_ARRAY_ELEMENTS,
  MAX_STRING_BYTES,
} from "./limits.ts";
import { decodeScalar, scalarBytes } from "./scalars.ts";
import {
  isNumberArrayType,
  NUMBER_ARRAYS,
  VALUE_TYPES,
  type GgufArray,
  type GgufValue,
  type GgufValueType,
} from "./values.ts";

/** Array elements that the header may still hold. */
export interface ElementBudget {
  left: number;
}

export async function readValue(
  cursor: HeaderCursor,
  what: string,
  budget: ElementBudget,
): Promise<GgufValue> {
  const type = await readType(cursor, what);
  if (type === "string") {
    return { type, value: await cursor.string(MAX_STRING_BYTES, what) };
  }
  if (type === "array") return readArray(cursor, what, budget, 1);
  await cursor.need(elementBytes(type), what);
  return type === "bool"
    ? { type, value: bool(cursor, what) }
    : decodeScalar(type, cursor.bytes(scalarBytes(type)));
}

async function readArray(
  cursor: HeaderCursor,
  what: string,
  budget: ElementBudget,
  depth: number,
): Promise<GgufArray> {
  const start = cursor.offset;
  if (depth > MAX_ARRAY_DEPTH) {
    throw cursor.error(
      "GGUF_LIMIT",
      `${what} nests arrays deeper than ${MAX_ARRAY_DEPTH}`,
    );
  }
  const element = await readType(cursor, what);
  await cursor.need(8, what);
  const length = cursor.count();
  // Compared this way round, NaN counts as too many.
  if (!(length <= budget.left)) {
    throw cursor.error(
      "GGUF_LIMIT",
      `${what} brings the header's arrays over ${MAX_ARRAY_ELEMENTS} elements`,
      start,
    );
  }
  budget.left -= length;
  cursor.mustHold(length * elementBytes(element), what);

  if (isNumberArrayType(element)) {
    const value = new NUMBER_ARRAYS[element](length);
    await cursor.readInto(
      new Uint8Array(value.buffer, value.byteOffset, value.byteLength),
      what,
    );
    return { type: "array", element, value } as GgufArray;
  }
  if (element === "string") {
    const value: string[] = [];
    for (let i = 0; i < length; i++)
      value.push(
        cursor.bufferedString(MAX_STRING_BYTES) ??
          (await cursor.string(MAX_STRING_BYTES, what)),
      );
    return { type: "array", element, value };
  }
  if (element === "bool") {
    const value: boolean[] = [];
    for (let i = 0; i < length; i++) {
      await cursor.need(1, what);
      value.push(bool(cursor, what));
    }
    return { type: "array", element, value };
  }
  const value: GgufArray[] = [];
  for (let i = 0; i < length; i++)
    value.push(await readArray(cursor, what, budget, depth + 1));
  return { type: "array", element, value };
}

async function readType(
  cursor: HeaderCursor,
  what: string,
): Promise<GgufValueType> {
  await cursor.need(4, what);
  const start = cursor.offset;
  const id = cursor.uint32();
  const type = VALUE_TYPES[id];
  if (type === undefined)
    throw cursor.error("GGUF_CORRUPT", `${what} has unknown type ${id}`, start);
  return type;
}

function bool(cursor: HeaderCursor, what: string): boolean {
  const start = cursor.offset;
  const byte = cursor.bytes(1).readUInt8();
  if (byte > 1)
    throw cursor.error("GGUF_CORRUPT", `${what} is not a bool: ${byte}`, start);
  return byte === 1;
}

/** The fewest bytes an element takes: its length for a string, its type and length for an array. */
function elementBytes(type: GgufValueType): number {
  if (type === "array") return 12;
  if (type === "string") return 8;
  return type === "bool" ? 1 : scalarBytes(type);
}
