/** What becomes of a model's embedding before a client gets it: a length of 1, fewer dimensions. */

/** The Euclidean length. */
export const EUCLIDEAN = 2;

/**
 * Divided by its norm, as llama.cpp's server does (`common_embd_normalize`, common/common.cpp): 2 is the Euclidean one, 1 the sum of the values,
 * any other p the p-norm; 0 makes the largest value 32,760, and -1 changes nothing.
 */
export function normalized(
  vector: Float32Array,
  norm = EUCLIDEAN,
): Float32Array {
  if (norm < 0) return vector;
  const length = lengthOf(vector, norm);
  const factor = length > 0 ? Math.fround(1 / length) : 0;
  return vector.map((value) => value * factor);
}

/** The first `dimensions` of a vector, of length 1 again. Models that are trained for that put what counts most first. */
export function shortened(
  vector: Float32Array,
  dimensions: number | undefined,
): Float32Array {
  return dimensions === undefined || dimensions >= vector.length
    ? vector
    : normalized(vector.slice(0, dimensions));
}

/** The bytes of the values, f32 little-endian. */
export function base64Of(vector: Float32Array): string {
  const { buffer, byteOffset, byteLength } = vector;
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

/** In the server's steps: products in f32, their sum in f64. */
function lengthOf(vector: Float32Array, norm: number): number {
  if (norm === 0)
    return (
      vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0) /
      LARGEST
    );
  if (norm === EUCLIDEAN)
    return Math.sqrt(
      vector.reduce((sum, value) => sum + Math.fround(value * value), 0),
    );
  const sum = vector.reduce((all, value) => all + Math.abs(value) ** norm, 0);
  return sum ** (1 / norm);
}

/** So that values fit 16 bits. */
const LARGEST = 32_760;
