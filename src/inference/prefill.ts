/** In which chunks a prompt goes through the stages of a route. Pure. */
import { chunksOf, EXACT_CHUNK_TOKENS } from "../engine/index.ts";
import type { KvType } from "../lib/index.ts";
import type { OpenedBody } from "./open.ts";

/** Where no stage has measured: enough rows for the matrix kernels, few enough that tokens of others pass soon. */
const DEFAULT_TOKENS = 128;

/** Lengths of the chunks: those that the stages measured as the fastest for a prompt of this length; none crosses a border. */
export function prefillChunks(
  promptTokens: number,
  stages: readonly OpenedBody[],
  kv: KvType,
  borders: Iterable<number> = [],
): number[] {
  const most = Math.min(...stages.map(({ batchTokens }) => batchTokens));
  const least = kv === "f16" ? EXACT_CHUNK_TOKENS : 1;
  let best = Math.max(Math.min(DEFAULT_TOKENS, most), Math.min(least, most));
  let bestMs = Infinity;
  for (const [tokens] of stages[0]?.chunkMs ?? []) {
    if (tokens > most || tokens < Math.min(least, most)) continue;
    const ms = prefillMs(promptTokens, tokens, stages);
    if (ms >= bestMs) continue;
    best = tokens;
    bestMs = ms;
  }
  return chunksOf(promptTokens, best, kv, borders);
}

/** Stages work at once, on a chunk each: the slowest one decides, and the first chunk passes all of them. Infinity if one has not measured. */
function prefillMs(
  promptTokens: number,
  chunkTokens: number,
  stages: readonly OpenedBody[],
): number {
  const slowest = Math.max(
    ...stages.map(
      ({ chunkMs }) =>
        chunkMs.find(([tokens]) => tokens === chunkTokens)?.[1] ?? Infinity,
    ),
  );
  const chunks = Math.ceil(promptTokens / chunkTokens);
  return (chunks + stages.length - 1) * slowest;
}
