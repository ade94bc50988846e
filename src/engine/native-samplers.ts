/** llama.cpp's samplers: the part of the native surface that draws tokens. */
import type { LibraryHandle } from "koffi";
import type { NativeSamplers, Pointer } from "./native-types.ts";

/** How many of the likeliest tokens llama.cpp's own programs let the first Mirostat look at. */
const MIROSTAT_TOKENS = 100;

export function bindSamplers(llama: LibraryHandle): NativeSamplers {
  const chainInit = llama.func(
    "void* llama_sampler_chain_init(llama_sampler_chain_params params)",
  );
  const initBias = llama.func(
    "void* llama_sampler_init_logit_bias(int32 n_vocab, int32 n, llama_logit_bias* bias)",
  );
  const initDry = llama.func(
    "void* llama_sampler_init_dry(void* vocab, float multiplier, float base, int32 allowed_length, int32 last_n, const char** breakers, size_t n)",
  );
  const initMirostat = llama.func(
    "void* llama_sampler_init_mirostat(int32 n_vocab, uint32 seed, float tau, float eta, int32 m)",
  );
  return {
    newChain: () => chainInit({ no_perf: true }) as Pointer,
    freeSampler: llama.func("void llama_sampler_free(void* sampler)"),
    chainAdd: llama.func(
      "void llama_sampler_chain_add(void* chain, void* sampler)",
    ),
    chainLength: llama.func("int32 llama_sampler_chain_n(void* chain)"),
    chainRemove: llama.func(
      "void* llama_sampler_chain_remove(void* chain, int32 i)",
    ),
    samplerAccept: llama.func(
      "void llama_sampler_accept(void* sampler, int32 token)",
    ),
    samplerApply: llama.func(
      "void llama_sampler_apply(void* sampler, void* candidates)",
    ),
    sample: llama.func(
      "int32 llama_sampler_sample(void* chain, void* ctx, int32 i)",
    ),
    greedy: llama.func("void* llama_sampler_init_greedy()"),
    dist: llama.func("void* llama_sampler_init_dist(uint32 seed)"),
    topK: llama.func("void* llama_sampler_init_top_k(int32 k)"),
    topP: llama.func(
      "void* llama_sampler_init_top_p(float p, size_t min_keep)",
    ),
    minP: llama.func(
      "void* llama_sampler_init_min_p(float p, size_t min_keep)",
    ),
    typical: llama.func(
      "void* llama_sampler_init_typical(float p, size_t min_keep)",
    ),
    topNSigma: llama.func("void* llama_sampler_init_top_n_sigma(float n)"),
    xtc: llama.func(
      "void* llama_sampler_init_xtc(float p, float t, size_t min_keep, uint32 seed)",
    ),
    temperature: llama.func("void* llama_sampler_init_temp(float t)"),
    dynamicTemperature: llama.func(
      "void* llama_sampler_init_temp_ext(float t, float delta, float exponent)",
    ),
    penalties: llama.func(
      "void* llama_sampler_init_penalties(int32 n_vocab, int32 last_n, float repeat, float freq, float present)",
    ),
    dry: (vocab, multiplier, base, allowedLength, lastN, breakers) =>
      initDry(
        vocab,
        multiplier,
        base,
        allowedLength,
        lastN,
        breakers,
        breakers.length,
      ) as Pointer,
    mirostat: (vocabSize, seed, tau, eta) =>
      initMirostat(vocabSize, seed, tau, eta, MIROSTAT_TOKENS) as Pointer,
    mirostatV2: llama.func(
      "void* llama_sampler_init_mirostat_v2(uint32 seed, float tau, float eta)",
    ),
    logitBias: (vocabSize, bias) =>
      initBias(
        vocabSize,
        bias.length,
        bias.map(([token, value]) => ({ token, bias: value })),
      ) as Pointer,
  };
}
