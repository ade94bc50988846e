/** Copies of the demo model that our own reader accepts and llama.cpp refuses, each with llama.cpp's reason. */
import { join } from "node:path";
import { type GgufValue, openModel, writeGguf } from "../../src/gguf/index.ts";
import { DEMO_MODEL } from "./swarm.ts";

interface Damage {
  reason: string;
  /** undefined removes the key. */
  changes: Readonly<Record<string, GgufValue | undefined>>;
  /** Tokens that get another one's text: [index, that of]. */
  duplicates?: readonly (readonly [number, number])[];
}

export const DAMAGES = Object.freeze({
  "an unknown tokenizer": {
    reason: "unknown tokenizer: 'klingon'",
    changes: { "tokenizer.ggml.model": { type: "string", value: "klingon" } },
  },
  "an unknown pre-tokenizer": {
    reason: "unknown pre-tokenizer type: 'zzz'",
    changes: {
      "tokenizer.ggml.model": { type: "string", value: "gpt2" },
      "tokenizer.ggml.pre": { type: "string", value: "zzz" },
      "tokenizer.ggml.merges": {
        type: "array",
        element: "string",
        value: ["a b"],
      },
    },
  },
  "no tokenizer": {
    reason: "key not found in model: tokenizer.ggml.model",
    changes: { "tokenizer.ggml.model": undefined },
  },
  "a number for a name": {
    reason: "key general.name has wrong type u32 but expected type str",
    changes: { "general.name": { type: "uint32", value: 5 } },
  },
  "a fraction for its context": {
    reason: "key llama.context_length has wrong type f32 but expected type u32",
    changes: { "llama.context_length": { type: "float32", value: 512 } },
  },
  "a token twice": {
    reason: "GGML_ASSERT(id_to_token.size() == token_to_id.size()) failed",
    changes: {},
    duplicates: [
      [500, 501],
      [502, 501],
    ],
  },
} as const satisfies Record<string, Damage>);

/** Gives the file's path. */
export async function writeDamagedModel(
  folder: string,
  damage: Damage,
): Promise<string> {
  const base = await openModel(DEMO_MODEL);
  const metadata = new Map(base.metadata);
  for (const [key, value] of Object.entries(damage.changes)) {
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
  }
  const tokens = metadata.get("tokenizer.ggml.tokens");
  if (tokens?.type !== "array" || tokens.element !== "string")
    throw new Error("the demo model has no tokens");
  const value = [...tokens.value];
  for (const [index, of] of damage.duplicates ?? [])
    value[index] = tokens.value[of] ?? "";
  metadata.set("tokenizer.ggml.tokens", { ...tokens, value });
  const path = join(folder, "damaged.gguf");
  await writeGguf(path, {
    metadata,
    tensors: base.tensors.map(({ name, type, shape, fileIndex, ...at }) => ({
      name,
      type,
      shape,
      data: {
        path: base.files[fileIndex]?.path ?? "",
        offset: at.offset,
        sizeBytes: at.sizeBytes,
      },
    })),
  });
  return path;
}
