/**
 * The whole native surface: every llama.cpp and ggml symbol that Shoal calls, with types and struct layouts. No other file names one. Bound
 * by koffi to the unmodified libraries of `@node-llama-cpp/<platform>`: 3.22.1, which is llama.cpp v0.5.0, or 3.21.1, which is v0.4.0.
 *
 * native-layouts.ts has their structs, native-tensors.ts, native-samplers.ts and native-devices.ts parts of it.
 */
import { join } from "node:path";
import koffi, { type LibraryHandle } from "koffi";
import { type ErrorDetails, ShoalError } from "../lib/index.ts";
import { type Backend, findLibraries, type Libraries } from "./libraries.ts";
import {
  declareTypes,
  EXPECTED_CONTEXT,
  EXPECTED_MODEL,
} from "./native-layouts.ts";
import { LOG_ERROR, nativeReason } from "./native-log.ts";
import { bindSamplers } from "./native-samplers.ts";
import { bindTensors } from "./native-tensors.ts";
import type {
  Native,
  NativeDevice,
  NativeLog,
  Pointer,
} from "./native-types.ts";

/** Of llama.cpp, with the same structs and defaults. The packages for mac and Windows have the older one. */
const VERSIONS: readonly string[] = ["0.4.0", "0.5.0"];

let loaded: Native | undefined;

/**
 * The bound libraries, loaded on first use for the whole process, as dlopen does. Throws ENGINE_UNAVAILABLE, or GPU_UNAVAILABLE for another
 * `backend` than the CPU. `onLog` receives the libraries' log. Only the first call's parameters count.
 */
export function loadNative(
  onLog: NativeLog = () => {},
  backend: Backend = "cpu",
): Native {
  loaded ??= bind(findLibraries(backend), onLog);
  return loaded;
}

function bind(libraries: Libraries, onLog: NativeLog): Native {
  const { directory, version } = libraries;
  if (!VERSIONS.includes(version)) throw otherVersion(version);
  // Each finds those that it needs among the open ones, also where a system does not look into the library's own folder.
  const open = (file: string): LibraryHandle =>
    koffi.load(join(directory, file), { global: true });
  const base = open(libraries.base);
  const ggml = open(libraries.ggml);
  const llama = open(libraries.llama);

  const { typeTraits: traits } = declareTypes();

  const errors: string[] = [];
  const log: NativeLog = (level, text) => {
    if (level === LOG_ERROR) errors.push(text);
    onLog(level, text);
  };
  llama.func("void llama_log_set(shoal_log_cb* callback, void* user_data)")(
    koffi.register(log, "shoal_log_cb *"),
    null,
  );
  /** The pointer that `make` gives, or ENGINE_LOAD_FAILED with what llama.cpp logs meanwhile. */
  const made = (
    refused: string,
    details: ErrorDetails,
    make: () => Pointer | null,
  ): Pointer => {
    errors.length = 0;
    const pointer = make();
    if (pointer !== null) return pointer;
    const reason = nativeReason(errors) ?? "it gives no reason";
    throw new ShoalError(
      "ENGINE_LOAD_FAILED",
      `${refused}: ${reason}`,
      details,
    );
  };
  ggml.func("void ggml_backend_load_all_from_path(const char* path)")(
    directory,
  );
  llama.func("void llama_backend_init()")();

  const logitsIth = llama.func(
    "void* llama_get_logits_ith(void* ctx, int32 i)",
  );
  const getTraits = base.func(
    "ggml_type_traits* ggml_get_type_traits(int type)",
  );
  const getMemory = llama.func("void* llama_get_memory(void* ctx)");
  const seqRm = llama.func(
    "bool llama_memory_seq_rm(void* mem, int32 seq, int32 p0, int32 p1)",
  );
  const lastPosition = llama.func(
    "int32 llama_memory_seq_pos_max(void* mem, int32 seq)",
  );
  const firstPosition = llama.func(
    "int32 llama_memory_seq_pos_min(void* mem, int32 seq)",
  );
  const stateSize = llama.func(
    "size_t llama_state_seq_get_size(void* ctx, int32 seq)",
  );
  const getState = llama.func(
    "size_t llama_state_seq_get_data(void* ctx, void* into, size_t size, int32 seq)",
  );
  const setState = llama.func(
    "size_t llama_state_seq_set_data(void* ctx, void* from, size_t size, int32 seq)",
  );
  const modelSize = llama.func("uint64 llama_model_size(void* model)");
  const tokenize = llama.func(
    "int32 llama_tokenize(void* vocab, const void* text, int32 text_len, void* tokens, int32 n_max, bool special, bool parse)",
  );
  const toPiece = llama.func(
    "int32 llama_token_to_piece(void* vocab, int32 token, void* buf, int32 length, int32 lstrip, bool special)",
  );
  const infill = [
    llama.func("int32 llama_vocab_fim_pre(void* vocab)"),
    llama.func("int32 llama_vocab_fim_suf(void* vocab)"),
    llama.func("int32 llama_vocab_fim_mid(void* vocab)"),
    llama.func("int32 llama_vocab_fim_pad(void* vocab)"),
    llama.func("int32 llama_vocab_fim_rep(void* vocab)"),
    llama.func("int32 llama_vocab_fim_sep(void* vocab)"),
  ];
  const loadModel = llama.func(
    "void* llama_model_load_from_file(const char* path, llama_model_params params)",
  );
  const newContext = llama.func(
    "void* llama_init_from_model(void* model, llama_context_params params)",
  );

  const deviceCount = ggml.func("size_t ggml_backend_dev_count()");
  const deviceGet = ggml.func("void* ggml_backend_dev_get(size_t index)");
  const deviceName = base.func("const char* ggml_backend_dev_name(void* dev)");
  const deviceText = base.func(
    "const char* ggml_backend_dev_description(void* dev)",
  );
  const deviceType = base.func("int ggml_backend_dev_type(void* dev)");
  const deviceMemory = base.func(
    "void ggml_backend_dev_memory(void* dev, _Out_ size_t* free, _Out_ size_t* total)",
  );
  const device = (index: number): NativeDevice => {
    const pointer = deviceGet(index) as Pointer;
    const free: [number | bigint] = [0];
    const total: [number | bigint] = [0];
    deviceMemory(pointer, free, total);
    return {
      pointer,
      name: deviceName(pointer) as string,
      description: deviceText(pointer) as string,
      type: deviceType(pointer) as number,
      freeBytes: Number(free[0]),
      totalBytes: Number(total[0]),
    };
  };

  const native: Native = {
    directory,
    version,
    devices: () =>
      Array.from({ length: Number(deviceCount()) }, (_, i) => device(i)),
    systemInfo: llama.func("const char* llama_print_system_info()"),
    modelDefaultParams: llama.func(
      "llama_model_params llama_model_default_params()",
    ),
    contextDefaultParams: llama.func(
      "llama_context_params llama_context_default_params()",
    ),
    loadModel: (path, params) =>
      made(
        `llama.cpp refused ${path}`,
        { path },
        () => loadModel(path, params) as Pointer | null,
      ),
    freeModel: llama.func("void llama_model_free(void* model)"),
    newContext: (model, params) =>
      made(
        "llama.cpp could not make a context",
        { contextLength: params.n_ctx, sessions: params.n_seq_max },
        () => newContext(model, params) as Pointer | null,
      ),
    freeContext: llama.func("void llama_free(void* ctx)"),
    decode: llama.func("int32 llama_decode(void* ctx, llama_batch batch)"),
    logits: (context, index, vocabSize) =>
      new Float32Array(koffi.view(logitsIth(context, index), vocabSize * 4)),
    contextPerSequence: llama.func("uint32 llama_n_ctx_seq(void* ctx)"),
    embeddingLength: llama.func("int32 llama_model_n_embd(void* model)"),
    inputLength: llama.func("int32 llama_model_n_embd_inp(void* model)"),
    ropeType: llama.func("int llama_model_rope_type(void* model)"),
    layerCount: llama.func("int32 llama_model_n_layer(void* model)"),
    trainedContext: llama.func("int32 llama_model_n_ctx_train(void* model)"),
    modelSizeBytes: (model) => Number(modelSize(model)),
    removeSequence: (context, sequence, from, to) =>
      seqRm(getMemory(context), sequence, from, to),
    sequenceLength: (context, sequence) =>
      lastPosition(getMemory(context), sequence) + 1,
    sequenceBytes: (context, sequence) => Number(stateSize(context, sequence)),
    readSequence: (context, sequence, into, length) =>
      Number(getState(context, into, length, sequence)) === length,
    writeSequence: (context, sequence, from, length) =>
      Number(setState(context, from, length, sequence)) === length,
    firstPosition: (context, sequence) =>
      firstPosition(getMemory(context), sequence),
    windowLength: llama.func("int32 llama_model_n_swa(void* model)"),
    isRecurrent: llama.func("bool llama_model_is_recurrent(void* model)"),
    isHybrid: llama.func("bool llama_model_is_hybrid(void* model)"),
    setThreads: llama.func(
      "void llama_set_n_threads(void* ctx, int32 n, int32 batch)",
    ),
    ...bindTensors(base),
    typeTraits: (type) => {
      const t = koffi.decode(getTraits(type), traits) as {
        blck_size: bigint;
        type_size: bigint;
        to_float: Pointer | null;
      };
      const { to_float: toFloat } = t;
      return {
        blockSize: Number(t.blck_size),
        blockBytes: Number(t.type_size),
        toFloat:
          toFloat === null
            ? undefined
            : (row, out, count) => {
                koffi.call(toFloat, "shoal_to_float", row, out, count);
              },
      };
    },
    vocab: llama.func("void* llama_model_get_vocab(void* model)"),
    vocabSize: llama.func("int32 llama_vocab_n_tokens(void* vocab)"),
    vocabType: llama.func("int llama_vocab_type(void* vocab)"),
    isEndOfGeneration: llama.func(
      "bool llama_vocab_is_eog(void* vocab, int32 token)",
    ),
    isControl: llama.func(
      "bool llama_vocab_is_control(void* vocab, int32 token)",
    ),
    bos: llama.func("int32 llama_vocab_bos(void* vocab)"),
    eos: llama.func("int32 llama_vocab_eos(void* vocab)"),
    addsBos: llama.func("bool llama_vocab_get_add_bos(void* vocab)"),
    infillTokens: (vocab) => {
      const [prefix, suffix, middle, pad, repository, file] = infill.map(
        (token) => {
          const id = token(vocab) as number;
          return id < 0 ? undefined : id;
        },
      );
      return { prefix, suffix, middle, pad, repository, file };
    },
    tokenize: (vocab, text, tokens, special, parse) =>
      tokenize(vocab, text, text.length, tokens, tokens.length, special, parse),
    tokenToPiece: (vocab, token, into, special) =>
      toPiece(vocab, token, into, into.length, 0, special),
    ...bindSamplers(llama),
    evalCallback: (callback) =>
      koffi.register(callback, "shoal_eval_cb *") as Pointer,
    progressCallback: (callback) =>
      koffi.register(callback, "shoal_progress_cb *") as Pointer,
    freeCallback: (callback) => {
      koffi.unregister(callback);
    },
    addressOf: (array) => koffi.address(array),
  };
  checkLayout(version, native.modelDefaultParams(), EXPECTED_MODEL);
  checkLayout(version, native.contextDefaultParams(), EXPECTED_CONTEXT);
  return native;
}

/** Throws ENGINE_UNAVAILABLE if the library's own defaults are not what these structs read as. */
export function checkLayout(
  version: string,
  actual: Readonly<Record<string, unknown>>,
  expected: Readonly<Record<string, unknown>>,
): void {
  for (const [field, value] of Object.entries(expected))
    if (actual[field] !== value)
      throw otherVersion(
        version,
        `: its default of ${field} is ${String(actual[field])}, not ${String(value)}`,
      );
}

function otherVersion(version: string, why = ""): ShoalError {
  const taken = VERSIONS.map((each) => `v${each}`).join(" and ");
  return new ShoalError(
    "ENGINE_UNAVAILABLE",
    `the libraries are llama.cpp v${version}${why}; this program takes ${taken}`,
    { version },
  );
}
