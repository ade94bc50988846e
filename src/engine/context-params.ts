/** A stage's parameters for llama.cpp's model and context. */
import { EMBEDDING_ROWS } from "./embedding-rows.ts";
import { GGML_KV_TYPE, type KvType } from "./kv.ts";
import type {
  ContextParams,
  ModelParams,
  Native,
  Pointer,
} from "./native-types.ts";

export interface ContextOptions {
  /** Tokens one session may hold, prompt and reply. */
  contextLength: number;
  /** Sessions at once, each with its own KV sequence. */
  sessions: number;
  /** The most tokens in one decode: a prefill chunk. */
  batchTokens: number;
  threads: number;
  /** How keys and values are kept; f16, llama.cpp's default, where it is not named. */
  kv?: KvType;
}

/** Repacked weights sum in another order for another number of rows, so whoever wants bits that do not depend on it has none. */
export function setKernels(params: ModelParams, kv: KvType): void {
  params.use_extra_bufts = kv === "f16";
}

export function contextParams(
  native: Native,
  options: ContextOptions,
  callback: Pointer,
  { isLast, embeds }: { isLast: boolean; embeds: boolean },
): ContextParams {
  const { contextLength, sessions, batchTokens, threads, kv } = options;
  const params = native.contextDefaultParams();
  params.n_ctx = contextLength * sessions;
  params.n_seq_max = sessions;
  // One session's decode is one graph run. llama.cpp tries a batch of all sessions, the same number of tokens for each; the graph of Kimi
  // Linear aborts if that does not work out.
  params.n_ubatch = Math.ceil(batchTokens / sessions) * sessions;
  params.n_batch = params.n_ubatch;
  params.n_threads = threads;
  params.n_threads_batch = threads;
  params.kv_unified = false; // a session's rows are laid out the same whatever the others do, so its result is bit-exact
  const type = GGML_KV_TYPE[kv ?? "f16"];
  params.type_k = type;
  params.type_v = type;
  if (!isLast || embeds) {
    const most = Math.max(sessions, EMBEDDING_ROWS);
    const outputs = isLast ? Math.min(params.n_batch, most) : params.n_batch;
    params.n_outputs_max = outputs;
    params.n_outputs_max_per_seq = outputs;
  }
  params.cb_eval = callback;
  return params;
}
