/** Quantizes models as llama.cpp does, with the library's own functions. */
import { readFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { loadNative } from "../../src/engine/native.ts";
import {
  type GgmlTypeName,
  ggmlType,
  openModel,
  tensorSizeBytes,
  type TensorSource,
  writeGguf,
} from "../../src/gguf/index.ts";

/** What llama.cpp calls a number that is no `llama_ftype`. */
const UNKNOWN = "unknown, may not work";
/** `LLAMA_FTYPE_GUESSED`: numbers end below it. */
const FILE_TYPES_END = 1024;

const log: string[] = [];
// At once: only the first to load the library hears its log.
const native = loadNative((_, text) => log.push(text));
let bound: ReturnType<typeof bind> | undefined;

function bind() {
  const open = (prefix: string) =>
    koffi.load(
      join(
        native.directory,
        readdirSync(native.directory).find((name) => name.startsWith(prefix)) ??
          prefix,
      ),
    );
  const llama = open("libllama.v");
  const base = open("libggml-base");
  // include/llama.h of v0.5.0.
  koffi.struct("shoal_quantize_params", {
    nthread: "int32",
    ftype: "int",
    output_tensor_type: "int",
    token_embedding_type: "int",
    allow_requantize: "bool",
    quantize_output_tensor: "bool",
    only_copy: "bool",
    pure: "bool",
    keep_split: "bool",
    dry_run: "bool",
    imatrix: "void*",
    kv_overrides: "void*",
    tt_overrides: "void*",
    prune_layers: "void*",
  });
  koffi.struct("shoal_importance", {
    name: "const char*",
    data: "float*",
    size: "size_t",
  });
  return {
    defaults: llama.func(
      "shoal_quantize_params llama_model_quantize_default_params()",
    ),
    quantize: llama.func(
      "uint32 llama_model_quantize(const char* from, const char* to, shoal_quantize_params* params)",
    ),
    fileTypeName: llama.func("const char* llama_ftype_name(int type)"),
    // Exported under its C++ name (src/llama-quant.h); GGML_TYPE_COUNT for what is no file type.
    defaultType: llama.func(
      "int _Z28llama_ftype_get_default_type11llama_ftype(int type)",
    ),
    tensorTypeName: base.func("const char* ggml_type_name(int type)"),
    quantizeChunk: base.func(
      "size_t ggml_quantize_chunk(int type, const float* from, void* to, int64 start, int64 rows, int64 width, const float* importance)",
    ),
  };
}

export interface FileType {
  /** Of `enum llama_ftype`. */
  id: number;
  /** As llama.cpp calls it: "Q4_K - Medium". */
  name: string;
}

/** Every file type that the library knows. */
export function libraryFileTypes(): FileType[] {
  bound ??= bind();
  const { fileTypeName } = bound;
  return Array.from({ length: FILE_TYPES_END }, (_, id) => ({
    id,
    name: fileTypeName(id) as string,
  })).filter(({ name }) => name !== UNKNOWN);
}

export interface TensorType {
  id: number;
  /** As Shoal calls it. */
  name: string;
  blockElements: number;
  blockBytes: number;
  /** Whether the library makes numbers of it; else it is no type of weights. */
  isRead: boolean;
}

/** Every tensor type that the library knows; removed ones have blocks of nothing. */
export function libraryTensorTypes(): TensorType[] {
  bound ??= bind();
  const { defaultType, tensorTypeName } = bound;
  const length = defaultType(FILE_TYPES_END) as number;
  return Array.from({ length }, (_, id) => {
    const { blockSize, blockBytes, toFloat } = native.typeTraits(id);
    const name = (tensorTypeName(id) as string).toUpperCase();
    const isRead = name === "F32" || toFloat !== undefined;
    return { id, name, blockElements: blockSize, blockBytes, isRead };
  });
}

/**
 * To a file type (`enum llama_ftype`), with all values equally important where the type asks for that. Returns undefined if the library has
 * no such file type. Throws what it says otherwise.
 */
export async function quantize(
  from: string,
  to: string,
  fileType: number,
): Promise<true | undefined> {
  bound ??= bind();
  const { tensors } = await openModel(from);
  const widest = Math.max(...tensors.map(({ shape }) => shape[0] ?? 0));
  const most = Math.max(...tensors.map(({ shape }) => shape[2] ?? 1));
  const data = new Float32Array(widest * most).fill(1);
  const importance = tensors
    .filter(({ shape }) => shape.length > 1)
    .map(({ name, shape: [width = 0, , experts = 1] }) => ({
      name,
      data,
      size: width * experts,
    }));
  const params = {
    ...(bound.defaults() as object),
    nthread: 1,
    ftype: fileType,
    imatrix: koffi.as(
      [...importance, { name: null, data: null, size: 0 }],
      "shoal_importance *",
    ),
  };
  log.length = 0;
  if (bound.quantize(from, to, params) === 0) return true;
  const said = log.join("");
  if (said.includes("invalid output file type")) return undefined;
  throw new Error(`file type ${fileType}: ${said.trim().slice(-400)}`);
}

/** Every matrix of the layers to one type, with a scale of its own beside it: for types that the library quantizes no file to. */
export async function quantizeLayers(
  from: string,
  to: string,
  type: GgmlTypeName,
  fileType: number,
): Promise<void> {
  bound ??= bind();
  const { quantizeChunk } = bound;
  const { metadata, tensors } = await openModel(from);
  const file = await readFile(from);
  await writeGguf(to, {
    metadata: new Map(metadata).set("general.file_type", {
      type: "uint32",
      value: fileType,
    }),
    tensors: tensors.flatMap((tensor, i): TensorSource[] => {
      const { name, shape, offset, sizeBytes } = tensor;
      const bytes = Uint8Array.from(file.subarray(offset, offset + sizeBytes));
      if (!name.startsWith("blk.") || shape.length < 2)
        return [{ ...tensor, data: bytes }];
      const [width = 0] = shape;
      const values = new Float32Array(bytes.buffer);
      const data = new Uint8Array(tensorSizeBytes(type, shape));
      const rows = values.length / width;
      quantizeChunk(ggmlType(type).id, values, data, 0, rows, width, null);
      const scale = new Uint8Array(Float32Array.of(1 + i / 16).buffer);
      return [
        { name, shape, type, data },
        {
          name: name.replace(/weight$/, "scale"),
          shape: [1],
          type: "F32",
          data: scale,
        },
      ];
    }),
  });
}
