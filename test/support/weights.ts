/** Random tensor data of every type the tests use, in chunks, at a chosen standard deviation. */
import {
  ggmlType,
  tensorSizeBytes,
  type GgmlTypeName,
} from "../../src/gguf/index.ts";
import { toHalf, type Random } from "./random.ts";

export type WeightType =
  "F32" | "F16" | "BF16" | "Q8_0" | "Q4_0" | "Q4_K" | "Q6_K";

/**
 * Where a block keeps its half-precision scales, and how much the values of a block with random bits spread per unit of scale.
 * Q4_K's second scale is of the minimums: 7.5 times the first (the mean of a 4-bit value) centers the values on zero.
 */
const BLOCKS: Record<
  Exclude<WeightType, "F32" | "F16" | "BF16">,
  { spread: number; scales: readonly [offset: number, factor: number][] }
> = {
  Q8_0: { spread: 74, scales: [[0, 1]] },
  Q4_0: { spread: 4.6, scales: [[0, 1]] },
  Q4_K: {
    spread: 257,
    scales: [
      [0, 1],
      [2, 7.5],
    ],
  },
  Q6_K: { spread: 1368, scales: [[208, 1]] },
};

/** Multiple of every block size, so that a chunk holds whole blocks, and of 4. */
const CHUNK_ELEMENTS = 1024 * 1024;

/** Weights around zero with standard deviation `deviation`. One chunk's memory serves all: use it before taking the next. */
export function* randomWeights(
  type: WeightType,
  elements: number,
  deviation: number,
  random: Random,
): Generator<Uint8Array> {
  const fill = filler(type, deviation, random);
  const chunk = new Uint8Array(
    bytesOf(type, Math.min(elements, CHUNK_ELEMENTS)),
  );
  for (let done = 0; done < elements; done += CHUNK_ELEMENTS) {
    const size = bytesOf(type, Math.min(elements - done, CHUNK_ELEMENTS));
    fill(chunk);
    yield chunk.subarray(0, size);
  }
}

/** F32 values around `center`, up to `spread` away: norms, biases, rope factors. */
export function randomFloats(
  elements: number,
  center: number,
  spread: number,
  random: Random,
): Uint8Array {
  const values = Float32Array.from(
    { length: elements },
    () => center + spread * (random.next() / 2 ** 31 - 1),
  );
  return new Uint8Array(values.buffer);
}

function bytesOf(type: GgmlTypeName, elements: number): number {
  return tensorSizeBytes(type, [elements]);
}

function filler(
  type: WeightType,
  deviation: number,
  random: Random,
): (chunk: Uint8Array) => void {
  // Uniform in [-width, width] has standard deviation width / sqrt(3).
  const width = deviation * Math.sqrt(3);
  if (type === "F32") {
    return (chunk) => {
      const values = new Float32Array(chunk.buffer);
      for (let i = 0; i < values.length; i++)
        values[i] = width * (random.next() / 2 ** 31 - 1);
    };
  }
  if (type === "F16" || type === "BF16") {
    const bitsOf = type === "F16" ? toHalf : toBrainFloat;
    const halves = Uint16Array.from({ length: 4096 }, () =>
      bitsOf(width * (random.next() / 2 ** 31 - 1)),
    );
    return (chunk) => {
      const values = new Uint16Array(chunk.buffer);
      for (let i = 0; i < values.length; i++)
        values[i] = halves[random.next() & 4095] ?? 0;
    };
  }
  const { spread, scales } = BLOCKS[type];
  const { blockBytes } = ggmlType(type);
  return (chunk) => {
    const words = Math.floor(chunk.length / 4);
    random.fillWords(new Uint32Array(chunk.buffer, 0, words));
    const view = new DataView(chunk.buffer);
    for (const [offset, factor] of scales) {
      const half = toHalf((deviation / spread) * factor);
      for (let at = offset; at < chunk.length; at += blockBytes)
        view.setUint16(at, half, true);
    }
  };
}

/** bfloat16: the upper half of an F32. */
function toBrainFloat(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16;
}
