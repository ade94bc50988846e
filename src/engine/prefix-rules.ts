/**
 * How much of what was computed for one session another may take over, so that every bit stays what it would be without. Pure.
 *
 * Which kernels computed a row depends on how many rows were computed together (chunks.ts). The rows of a prompt come in chunks, and those of a
 * reply one by one. So a prompt may start with another prompt's rows; a reply's rows only continue the same session, or where the stage measured
 * that one row alone gets the same bits.
 */
import { GRAPH_TOKENS, REPACKED_ROWS, TILE_ROWS } from "./chunks.ts";
import type { KvType } from "./kv.ts";

/** A prompt is continued at multiples of this, so that whatever stages agree on cuts it into chunks that may be: no less than TILE_ROWS. */
export const PREFIX_BLOCK = 64;

export interface PrefixRules {
  kv: KvType;
  /** Bits may change (`--batch fast`). */
  anyBits: boolean;
  /** One row alone gets the bits that it gets beside others. */
  sameRows: boolean;
}

/** Tokens that were computed or are to be: a prompt, and what was generated after it. */
export interface KnownTokens {
  tokens: Int32Array;
  promptTokens: number;
}

export interface KeptTokens extends KnownTokens {
  /** The earliest position that can be gone on from, besides the end. */
  earliest: number;
  /** Only this gateway's sessions may take it over: another node handed it over for it. Undefined: everybody's. */
  owner?: string | undefined;
}

/** How many positions of `kept` are of use to `wanted`, whose last token is always computed: that gives the next one. */
export function usablePrefix(
  kept: KeptTokens,
  wanted: KnownTokens,
  rules: PrefixRules,
): number {
  const tokens = sameBits(kept, wanted, rules);
  const isEnd = tokens === kept.tokens.length;
  return isEnd || tokens >= kept.earliest ? tokens : 0;
}

function sameBits(
  kept: KnownTokens,
  wanted: KnownTokens,
  rules: PrefixRules,
): number {
  const common = commonLength(kept.tokens, wanted.tokens);
  const most = Math.min(common, wanted.tokens.length - 1);
  const prompt = wanted.promptTokens;
  const isSamePrompt = kept.promptTokens === prompt && common >= prompt;
  if (isSamePrompt && most >= prompt) return most;
  const limit = rules.anyBits ? most : Math.min(most, sharedRows(kept, rules));
  return alignedPrefix(limit, prompt, rules);
}

/** The rows of `kept` that any other prompt would get, too. */
function sharedRows(
  { tokens, promptTokens }: KnownTokens,
  { kv, sameRows }: PrefixRules,
): number {
  const tail = promptTokens % GRAPH_TOKENS;
  // A tail that is too short for tiles, and what repacked weights leave over, are computed otherwise in a longer prompt.
  if (kv === "f16")
    return tail < TILE_ROWS
      ? promptTokens - tail
      : promptTokens - (promptTokens % REPACKED_ROWS);
  if (sameRows) return tokens.length;
  return tail === 1 ? promptTokens - 1 : promptTokens;
}

/** The last multiple of PREFIX_BLOCK up to `limit` from which a prompt can be continued. */
export function alignedPrefix(
  limit: number,
  promptTokens: number,
  { kv, anyBits, sameRows }: PrefixRules,
): number {
  const most = Math.min(limit, promptTokens - 1);
  if (most < PREFIX_BLOCK) return 0;
  const at = most - (most % PREFIX_BLOCK);
  const graphEnd = Math.min(
    promptTokens,
    at - (at % GRAPH_TOKENS) + GRAPH_TOKENS,
  );
  const least = anyBits ? 1 : kv === "f16" ? TILE_ROWS : sameRows ? 1 : 2;
  const isInside = at % GRAPH_TOKENS !== 0;
  return isInside && graphEnd - at < least ? at - PREFIX_BLOCK : at;
}

/** Of the beginning that both have. */
export function commonLength(a: Int32Array, b: Int32Array): number {
  const most = Math.min(a.length, b.length);
  for (let i = 0; i < most; i++) if (a[i] !== b[i]) return i;
  return most;
}
