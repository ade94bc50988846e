/**
 * A model's manifest: what the model is, its parts with their content ids, and where each tensor is in the original files. The same bytes
 * give the same manifest, whatever the files are called. Its CID is the model's id.
 */
import type { GgufTensor } from "../gguf/index.ts";
import type { LayerMemory } from "./layer-memory.ts";
import type { CutRules } from "./plan.ts";

export interface ManifestPart {
  /** metadata, embedding, layer.0 …, output */
  id: string;
  sizeBytes: number;
  /** Merkle root of the part's bytes (BEP 52), 32 bytes. */
  root: Uint8Array;
  /** In the part's order; file, offset and size say where each is in the original. */
  tensors: readonly GgufTensor[];
}

export interface Manifest {
  version: 2;
  /** `general.name`, else the architecture. Not the file's name. */
  name: string;
  architecture: string;
  layerCount: number;
  embeddingLength: number;
  contextLength: number;
  vocabSize: number;
  quantization: string;
  /** The embedding table is the head as well. */
  tied: boolean;
  /** Where the model may be cut. */
  cuts: CutRules;
  /** Bytes of each layer that a token reads: of many experts only those that are used. */
  layerCosts: readonly number[];
  /** What each layer keeps of a session. */
  layerMemory: readonly LayerMemory[];
  /** The original files in order. */
  files: readonly { sizeBytes: number }[];
  parts: readonly ManifestPart[];
}

export interface Progress {
  doneBytes: number;
  totalBytes: number;
}

export interface ProgressOptions {
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

/** A part by id. The manifest is complete, so a missing part is the caller's mistake. */
export function partById(manifest: Manifest, id: string): ManifestPart {
  const part = manifest.parts.find((candidate) => candidate.id === id);
  if (part === undefined) throw new RangeError(`no part ${id}`);
  return part;
}
