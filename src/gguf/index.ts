/**
 * Reading and writing GGUF, the file format of llama.cpp's models: key-values, a table of tensors, their data. Only headers are parsed, in
 * bounded chunks; data is described by file and byte range and never kept in memory. A file is input from a stranger: every length and
 * count has a bound (limits.ts), every tensor must lie in its file, and an error says what is wrong at which byte.
 *
 *     const model = await openModel("model-00001-of-00003.gguf"); // or a single file
 *     const layers = uintOf(model.metadata, "llama.block_count");
 *     await writeGguf("copy.gguf", {
 *       metadata: model.metadata,
 *       tensors: model.tensors.map((t) => ({ ...t, data: { path: model.files[t.fileIndex].path, ...t } })),
 *     });
 */
export {
  GGML_TYPES,
  ggmlType,
  tensorSizeBytes,
  type GgmlType,
  type GgmlTypeName,
} from "./ggml-types.ts";
export {
  stringOf,
  stringsOf,
  uintOf,
  type GgufArray,
  type GgufElements,
  type GgufMetadata,
  type GgufValue,
  type GgufValueType,
} from "./values.ts";
export {
  readGguf,
  type GgufFile,
  type GgufTensor,
  type ReadOptions,
} from "./read.ts";
export { openModel, type GgufModel } from "./open-model.ts";
export {
  alignUp,
  encodeHeader,
  type GgufLayout,
  type TensorSpec,
} from "./encode.ts";
export { writeGguf, type TensorSource } from "./write.ts";
export {
  writeAtomically,
  type ByteSource,
  type FileRange,
  type Output,
  type WriteOptions,
} from "./atomic.ts";
export { type ByteFile, openBytes, openFile, readExactly } from "./files.ts";
export { DEFAULT_ALIGNMENT, MAX_TENSOR_NAME_BYTES } from "./limits.ts";
