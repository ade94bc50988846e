/** What a gateway has of the cluster's model: its manifest's facts and its vocabulary. */
import { Tokenizer } from "../engine/index.ts";
import { readGguf } from "../gguf/index.ts";
import type { ModelParts } from "../weights/index.ts";
import { needsOneContext } from "./contexts.ts";

export interface Loaded {
  manifest: string;
  name: string;
  createdMs: number;
  modelContext: number;
  /** All stages of a route need the same context. */
  isOneContext: boolean;
  chatTemplate: string | undefined;
  tokenizer: Tokenizer;
}

export async function openVocabulary(
  manifest: string,
  parts: ModelParts,
): Promise<Loaded> {
  const { metadata } = await readGguf(parts.metadataPath);
  const template = metadata.get("tokenizer.chat_template")?.value;
  return {
    manifest,
    name: parts.manifest.name,
    createdMs: Date.now(),
    modelContext: parts.manifest.contextLength,
    isOneContext: needsOneContext(parts.manifest),
    chatTemplate: typeof template === "string" ? template : undefined,
    tokenizer: await Tokenizer.load(parts.metadataPath),
  };
}
