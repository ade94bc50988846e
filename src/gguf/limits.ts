/**
 * Bounds on what a GGUF may claim, checked before memory is allocated. Each is well above every published model (2026: the largest
 * vocabularies have 262 thousand tokens and half a million merges; the largest tensor tables, with unmerged experts, 50 thousand entries).
 */

/** Key-values in a header. Models have 20 to 80. */
export const MAX_METADATA_ENTRIES = 65_536;
/** Tensors in one file. */
export const MAX_TENSORS = 262_144;
/** Bytes of a key: the format's own bound (2^16 - 1). */
export const MAX_KEY_BYTES = 65_535;
/** Bytes of a string value. The longest, chat templates, take some tens of KiB. */
export const MAX_STRING_BYTES = 16 * 1024 * 1024;
/** Bytes of a tensor's name: GGML_MAX_NAME (64) with its terminator. */
export const MAX_TENSOR_NAME_BYTES = 63;
/** Elements of all arrays in a header together: 30 times the largest vocabulary with merges, scores and types. */
export const MAX_ARRAY_ELEMENTS = 33_554_432;
/** Nesting of arrays. llama.cpp has none; the format allows it. */
export const MAX_ARRAY_DEPTH = 4;
/** Dimensions of a tensor: GGML_MAX_DIMS. */
export const MAX_DIMENSIONS = 4;
/** 64 KiB is the largest page size in use; a greater alignment only inflates the file. */
export const MAX_ALIGNMENT = 65_536;
/** Bytes of a whole header. Real ones take up to 20 MiB. */
export const MAX_HEADER_BYTES = 512 * 1024 * 1024;
/** Files of one model. Hubs cap a file at 50 GB, so this is 50 TB. */
export const MAX_SPLIT_FILES = 1024;

/** The format's default if `general.alignment` is absent. */
export const DEFAULT_ALIGNMENT = 32;
