/**
 * Just enough of llama.cpp for the check: load, tokenize, decode on one thread, text of a token.
 * Packages (koffi, @node-llama-cpp/linux-x64 3.22.1) are taken from the working directory.
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.cwd(), 'check'));
const koffi = require('koffi');
const { JinjaTemplate } = await import(new URL('../../src/jinja/index.ts', import.meta.url));

const dir = path.resolve('node_modules/@node-llama-cpp/linux-x64/bins/linux-x64');
const library = (prefix) => koffi.load(path.join(dir, fs.readdirSync(dir).find((f) => f.startsWith(prefix))), { global: true });
library('libggml-base');
const ggml = library('libggml.');
const llama = library('libllama.v');

// Struct layouts of llama.cpp v0.5.0 (include/llama.h).
koffi.proto('void log_t(int level, const char *text, void *data)');
koffi.struct('llama_batch', { n_tokens: 'int32', token: 'void*', embd: 'void*', pos: 'void*', n_seq_id: 'void*', seq_id: 'void*', logits: 'void*' });
koffi.struct('llama_model_params', {
  devices: 'void*', tbo: 'void*', n_gpu_layers: 'int32', split_mode: 'int', load_mode: 'int', lazy_mode: 'int', main_gpu: 'int32', tensor_split: 'void*',
  progress_callback: 'void*', ud: 'void*', kv_overrides: 'void*', vocab_only: 'bool', check_tensors: 'bool', use_extra_bufts: 'bool', no_host: 'bool',
  no_alloc: 'bool', load_mtp: 'bool',
});
koffi.struct('llama_context_params', {
  n_ctx: 'uint32', n_batch: 'uint32', n_ubatch: 'uint32', n_seq_max: 'uint32', n_rs_seq: 'uint32', n_outputs_max: 'uint32', n_outputs_max_per_seq: 'uint32',
  n_threads: 'int32', n_threads_batch: 'int32', ctx_type: 'int', rope_scaling_type: 'int', pooling_type: 'int', attention_type: 'int', flash_attn_type: 'int',
  rope_freq_base: 'float', rope_freq_scale: 'float', yarn_ext_factor: 'float', yarn_attn_factor: 'float', yarn_beta_fast: 'float', yarn_beta_slow: 'float',
  yarn_orig_ctx: 'uint32', defrag_thold: 'float', cb_eval: 'void*', cb_ud: 'void*', type_k: 'int', type_v: 'int', abort_callback: 'void*', abort_ud: 'void*',
  embeddings: 'bool', offload_kqv: 'bool', no_perf: 'bool', op_offload: 'bool', swa_full: 'bool', kv_unified: 'bool', samplers: 'void*', n_samplers: 'size_t',
  ctx_other: 'void*',
});
const f = {
  loadAll: ggml.func('void ggml_backend_load_all_from_path(const char* p)'),
  logSet: llama.func('void llama_log_set(log_t *cb, void* ud)'),
  modelParams: llama.func('llama_model_params llama_model_default_params()'),
  contextParams: llama.func('llama_context_params llama_context_default_params()'),
  load: llama.func('void* llama_model_load_from_file(const char* p, llama_model_params params)'),
  init: llama.func('void* llama_init_from_model(void* m, llama_context_params p)'),
  vocab: llama.func('void* llama_model_get_vocab(void* m)'),
  vocabSize: llama.func('int llama_vocab_n_tokens(void* v)'),
  template: llama.func('const char* llama_model_chat_template(void* m, const char* name)'),
  tokenize: llama.func('int llama_tokenize(void* v, const char* text, int len, void* tokens, int max, bool special, bool parse)'),
  piece: llama.func('int llama_token_to_piece(void* v, int token, void* buf, int len, int lstrip, bool special)'),
  isEog: llama.func('bool llama_vocab_is_eog(void* v, int token)'),
  memory: llama.func('void* llama_get_memory(void* ctx)'),
  clear: llama.func('void llama_memory_clear(void* m, bool data)'),
  decode: llama.func('int llama_decode(void* ctx, llama_batch b)'),
  logits: llama.func('void* llama_get_logits_ith(void* ctx, int i)'),
};
f.loadAll(dir);
f.logSet(koffi.register((level, text) => void (level >= 4 && process.stderr.write(text)), 'log_t *'), null);

/** Opens a GGUF. `chat(messages)` renders its template; `generate` yields text until the model ends its turn. */
export function open(file, nCtx = 512) {
  const model = f.load(file, f.modelParams());
  const ctx = f.init(model, { ...f.contextParams(), n_ctx: nCtx, n_batch: 512, n_ubatch: 512, n_threads: 1, n_threads_batch: 1 });
  const vocab = f.vocab(model);
  const size = f.vocabSize(vocab);
  const template = new JinjaTemplate(f.template(model, null));

  function tokenize(text) {
    const out = new Int32Array(Buffer.byteLength(text) + 8);
    return out.slice(0, f.tokenize(vocab, text, Buffer.byteLength(text), out, out.length, true, true));
  }
  /** Logits of the last of `tokens`, which follow `past` tokens already decoded. */
  function decode(tokens, past) {
    const n = tokens.length;
    const zero = new Int32Array([0]);
    const flags = new Int8Array(n);
    flags[n - 1] = 1;
    const status = f.decode(ctx, {
      n_tokens: n, token: tokens, embd: null, pos: new Int32Array(n).map((_, i) => past + i), n_seq_id: new Int32Array(n).fill(1),
      seq_id: new BigUint64Array(n).fill(BigInt(koffi.address(zero))), logits: flags,
    });
    if (status !== 0) throw new Error(`llama_decode returned ${status}`);
    return new Float32Array(koffi.view(f.logits(ctx, -1), size * 4)).slice();
  }
  function text(token) {
    const buffer = Buffer.alloc(64);
    return buffer.subarray(0, f.piece(vocab, token, buffer, 64, 0, false));
  }
  /** {text, tokens, ended} after `prompt`; greedy unless a temperature is given. */
  function generate(prompt, { max = 320, temperature = 0, seed = 1 } = {}) {
    f.clear(f.memory(ctx), true);
    const random = mulberry(seed);
    let tokens = tokenize(prompt);
    let past = 0;
    const parts = [];
    while (parts.length < max && past + tokens.length <= nCtx) {
      const logits = decode(tokens, past);
      past += tokens.length;
      const next = temperature > 0 ? sample(logits, temperature, random) : argmax(logits);
      if (f.isEog(vocab, next)) return { text: Buffer.concat(parts).toString(), tokens: parts.length, ended: true };
      parts.push(text(next));
      tokens = Int32Array.of(next);
    }
    return { text: Buffer.concat(parts).toString(), tokens: parts.length, ended: false };
  }
  const chat = (messages) => template.render({ messages, add_generation_prompt: true, bos_token: '<s>', eos_token: '</s>' }, { now: new Date() });
  const start = () => f.clear(f.memory(ctx), true);
  return { tokenize, decode, text, generate, chat, start, isEog: (token) => f.isEog(vocab, token), size };
}

const argmax = (values) => values.reduce((best, v, i) => (v > values[best] ? i : best), 0);

function sample(logits, temperature, random) {
  const top = logits[argmax(logits)];
  const weights = logits.map((l) => Math.exp((l - top) / temperature));
  let left = random() * weights.reduce((a, b) => a + b, 0);
  for (let i = 0; i < weights.length; i++) if ((left -= weights[i]) <= 0) return i;
  return argmax(logits);
}

function mulberry(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
