/**
 * How a prompt is cut into the decodes of its prefill, so that it gets llama.cpp's own bits, whatever its length.
 *
 * llama.cpp computes a prompt in graphs of 512 tokens (`n_ubatch`); the last one has the rest. The number of rows in a graph chooses the
 * kernels: from 64 rows on, attention over f16 keys is computed in tiles, and repacked weights take rows by fours and what is left over one by
 * one. So a graph of 64 rows and more may be cut into chunks of 64 rows and more, at multiples of 4; a smaller one is not cut. With other
 * types of keys nothing depends on the number of rows, except that one row alone takes a kernel of its own.
 */
import type { KvType } from "./kv.ts";

/** llama.cpp's default `n_ubatch`. */
export const GRAPH_TOKENS = 512;

/** Rows from which f16 attention is tiled (`GGML_FA_TILE_Q`, ggml-cpu/common.h). */
export const TILE_ROWS = 64;

/** Rows that repacked weights take at once. */
export const REPACKED_ROWS = 4;

/** With f16 keys a stage must take chunks of so many tokens: 127 can not be cut into two of 64. */
export const EXACT_CHUNK_TOKENS = 2 * TILE_ROWS - 1;

/**
 * Lengths of the chunks, none over `chunkTokens`, as equal as may be. With f16 keys they give llama.cpp's bits where `chunkTokens` is at
 * least EXACT_CHUNK_TOKENS. A chunk also ends at each of the `borders`, which prefix-rules.ts chooses so that the bits stay the same.
 */
export function chunksOf(
  promptTokens: number,
  chunkTokens: number,
  kv: KvType,
  borders: Iterable<number> = [],
): number[] {
  const unit = kv === "f16" && chunkTokens >= REPACKED_ROWS ? REPACKED_ROWS : 1;
  const ends = new Set([...borders].filter((at) => at < promptTokens));
  for (let at = 0; at < promptTokens; at += GRAPH_TOKENS) ends.add(at);
  ends.add(promptTokens).delete(0);
  const chunks: number[] = [];
  let from = 0;
  for (const end of [...ends].toSorted((a, b) => a - b)) {
    cut(end - from, chunkTokens, unit, chunks);
    from = end;
  }
  return chunks;
}

function cut(
  graph: number,
  chunkTokens: number,
  unit: number,
  into: number[],
): void {
  const most = chunkTokens - (chunkTokens % unit);
  let count = graph <= chunkTokens ? 1 : Math.ceil(graph / most);
  for (let left = graph; count > 0; count--) {
    const units = Math.ceil(Math.floor(left / unit) / count);
    const chunk = count === 1 ? left : units * unit;
    into.push(chunk);
    left -= chunk;
  }
}
