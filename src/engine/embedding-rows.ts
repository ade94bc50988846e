/**
 * How many rows a decode that gives an embedding puts out. llama.cpp puts out every row of a prompt that it embeds, though only the last one is
 * pooled, and the number of rows chooses the kernels of the last layer's feed-forward, as in chunks.ts. For each row that is put out llama.cpp
 * reserves logits, also where nobody computes them. So of many rows only the last ones are put out: as many as may be a chunk of their own.
 */
import { EXACT_CHUNK_TOKENS, REPACKED_ROWS, TILE_ROWS } from "./chunks.ts";

/** The most. */
export const EMBEDDING_ROWS = EXACT_CHUNK_TOKENS;

/** Of the last `n` rows of a prompt. */
export function embeddingRows(n: number): number {
  return n <= EMBEDDING_ROWS ? n : TILE_ROWS + (n % REPACKED_ROWS);
}
