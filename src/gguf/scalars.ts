/** Little-endian numbers of fixed width: one line per type for reading and writing. */
import { Buffer } from "node:buffer";
import { ShoalError } from "../lib/index.ts";

interface Codec<T> {
  bytes: number;
  read: (from: Buffer) => T;
  write: (into: Buffer, value: T) => number;
}

const NUMBERS = {
  uint8: {
    bytes: 1,
    read: (b) => b.readUInt8(),
    write: (b, v) => b.writeUInt8(v),
  },
  int8: {
    bytes: 1,
    read: (b) => b.readInt8(),
    write: (b, v) => b.writeInt8(v),
  },
  uint16: {
    bytes: 2,
    read: (b) => b.readUInt16LE(),
    write: (b, v) => b.writeUInt16LE(v),
  },
  int16: {
    bytes: 2,
    read: (b) => b.readInt16LE(),
    write: (b, v) => b.writeInt16LE(v),
  },
  uint32: {
    bytes: 4,
    read: (b) => b.readUInt32LE(),
    write: (b, v) => b.writeUInt32LE(v),
  },
  int32: {
    bytes: 4,
    read: (b) => b.readInt32LE(),
    write: (b, v) => b.writeInt32LE(v),
  },
  float32: {
    bytes: 4,
    read: (b) => b.readFloatLE(),
    write: (b, v) => b.writeFloatLE(v),
  },
  float64: {
    bytes: 8,
    read: (b) => b.readDoubleLE(),
    write: (b, v) => b.writeDoubleLE(v),
  },
} as const satisfies Record<string, Codec<number>>;

const BIGINTS = {
  uint64: {
    bytes: 8,
    read: (b) => b.readBigUInt64LE(),
    write: (b, v) => b.writeBigUInt64LE(v),
  },
  int64: {
    bytes: 8,
    read: (b) => b.readBigInt64LE(),
    write: (b, v) => b.writeBigInt64LE(v),
  },
} as const satisfies Record<string, Codec<bigint>>;

export type NumberType = keyof typeof NUMBERS;
export type BigintType = keyof typeof BIGINTS;

export type Scalar =
  { type: NumberType; value: number } | { type: BigintType; value: bigint };

function isBigintType(type: string): type is BigintType {
  return Object.hasOwn(BIGINTS, type);
}

export function scalarBytes(type: NumberType | BigintType): number {
  return isBigintType(type) ? BIGINTS[type].bytes : NUMBERS[type].bytes;
}

export function decodeScalar(
  type: NumberType | BigintType,
  from: Buffer,
): Scalar {
  return isBigintType(type)
    ? { type, value: BIGINTS[type].read(from) }
    : { type, value: NUMBERS[type].read(from) };
}

/** Refuses a value outside its type's range. */
export function encodeScalar(scalar: Scalar): Uint8Array {
  const into = Buffer.alloc(scalarBytes(scalar.type));
  try {
    if (isBigintType(scalar.type))
      BIGINTS[scalar.type].write(into, BigInt(scalar.value));
    else NUMBERS[scalar.type].write(into, Number(scalar.value));
  } catch (error) {
    throw new ShoalError(
      "INTERNAL",
      `${scalar.value} is not a ${scalar.type}`,
      {},
      error,
    );
  }
  return into;
}
