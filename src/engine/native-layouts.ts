/**
 * Structs and callbacks of the libraries: include/llama.h, ggml.h and ggml-backend.h at v0.5.0. The parameters' are checked against the library's own
 * defaults on load, so another version is refused instead of misread.
 */
import koffi from "koffi";

const MODEL_PARAMS = {
  devices: "void*",
  tensor_buft_overrides: "void*",
  n_gpu_layers: "int32",
  split_mode: "int",
  load_mode: "int",
  lazy_mode: "int",
  main_gpu: "int32",
  tensor_split: "void*",
  progress_callback: "shoal_progress_cb *",
  progress_callback_user_data: "void*",
  kv_overrides: "void*",
  vocab_only: "bool",
  check_tensors: "bool",
  use_extra_bufts: "bool",
  no_host: "bool",
  no_alloc: "bool",
  load_mtp: "bool",
} as const;

const CONTEXT_PARAMS = {
  n_ctx: "uint32",
  n_batch: "uint32",
  n_ubatch: "uint32",
  n_seq_max: "uint32",
  n_rs_seq: "uint32",
  n_outputs_max: "uint32",
  n_outputs_max_per_seq: "uint32",
  n_threads: "int32",
  n_threads_batch: "int32",
  ctx_type: "int",
  rope_scaling_type: "int",
  pooling_type: "int",
  attention_type: "int",
  flash_attn_type: "int",
  rope_freq_base: "float",
  rope_freq_scale: "float",
  yarn_ext_factor: "float",
  yarn_attn_factor: "float",
  yarn_beta_fast: "float",
  yarn_beta_slow: "float",
  yarn_orig_ctx: "uint32",
  defrag_thold: "float",
  cb_eval: "shoal_eval_cb *",
  cb_eval_user_data: "void*",
  type_k: "int",
  type_v: "int",
  abort_callback: "void*",
  abort_callback_data: "void*",
  embeddings: "bool",
  offload_kqv: "bool",
  no_perf: "bool",
  op_offload: "bool",
  swa_full: "bool",
  kv_unified: "bool",
  samplers: "void*",
  n_samplers: "size_t",
  ctx_other: "void*",
} as const;

/** The defaults of both versions: values at both ends and in the middle of each struct, so that a shift is noticed. */
export const EXPECTED_MODEL = {
  n_gpu_layers: -1,
  split_mode: 1,
  load_mode: -1,
  lazy_mode: 1,
  use_extra_bufts: true,
  load_mtp: false,
};
export const EXPECTED_CONTEXT = {
  n_ctx: 512,
  n_batch: 2048,
  n_ubatch: 512,
  n_outputs_max_per_seq: 1,
  rope_scaling_type: -1,
  flash_attn_type: -1,
  yarn_ext_factor: -1,
  type_k: 1,
  type_v: 1,
  offload_kqv: true,
  no_perf: true,
  swa_full: true,
  kv_unified: false,
};

/** Names them to koffi; once in a process. */
export function declareTypes(): {
  typeTraits: ReturnType<typeof koffi.struct>;
} {
  koffi.proto("bool shoal_eval_cb(void *tensor, bool ask, void *user_data)");
  koffi.proto("bool shoal_progress_cb(float progress, void *user_data)");
  koffi.proto(
    "void shoal_log_cb(int level, const char *text, void *user_data)",
  );
  koffi.proto("void shoal_to_float(void *x, void *y, int64 k)");
  koffi.struct("llama_batch", {
    n_tokens: "int32",
    token: "void*",
    embd: "void*",
    pos: "void*",
    n_seq_id: "void*",
    seq_id: "void*",
    logits: "void*",
  });
  koffi.struct("llama_model_params", MODEL_PARAMS);
  koffi.struct("llama_context_params", CONTEXT_PARAMS);
  koffi.struct("llama_logit_bias", { token: "int32", bias: "float" });
  koffi.struct("llama_sampler_chain_params", { no_perf: "bool" });
  const typeTraits = koffi.struct("ggml_type_traits", {
    type_name: "const char*",
    blck_size: "int64",
    blck_size_interleave: "int64",
    type_size: "size_t",
    is_quantized: "bool",
    to_float: "shoal_to_float *",
    from_float_ref: "void*",
  });
  return { typeTraits };
}
