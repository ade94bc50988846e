/**
 * Cuts models into shards. A manifest describes a GGUF: its parts (metadata, embedding, each layer, output) with their content ids. The
 * manifest's CID is the model's id. A plan says which layers each of n shards takes. Assembly writes a shard as a GGUF that unmodified
 * llama.cpp loads; the shards in a row compute exactly what the whole model does. A model that cannot be cut exactly is refused by name.
 *
 *     const source = await openModel("model.gguf");
 *     const manifest = await buildManifest(source);
 *     const [range] = planLayers(manifest, 4);
 *     await assembleShard({ source, manifest, range, path: "shard-0.gguf" });
 *     const shard = await readShard("shard-0.gguf"); // { isFirst: true, boundaryTensor: "l_out-1", embedding: { … }, … }
 */
export {
  describeModel,
  MIN_CONTEXT_TOKENS,
  type ModelDescription,
} from "./describe.ts";
export { embeddingKind } from "./embeddings.ts";
export { computeMemory, type ComputeMemory } from "./compute-memory.ts";
export { copiedBytes } from "./copied-weights.ts";
export { buildManifest } from "./build-manifest.ts";
export { type FileInfo, type GgufInfo, inspectFile } from "./inspect.ts";
export {
  partById,
  type Manifest,
  type ManifestPart,
  type Progress,
  type ProgressOptions,
} from "./manifest.ts";
export {
  decodeManifest,
  encodeManifest,
  manifestId,
  MAX_MANIFEST_BYTES,
} from "./manifest-codec.ts";
export { writeMetadata } from "./parts.ts";
export {
  checkRange,
  checkShardCount,
  listOfCounts,
  planLayers,
  shardCounts,
  shardTest,
  tokenCost,
  type CutRules,
  type LayerRange,
  type PlannedModel,
} from "./plan.ts";
export type { LayerMemory } from "./layer-memory.ts";
export {
  SERVED,
  REFUSED,
  recipeOf,
  refuseOlderEngine,
  type Recipe,
} from "./recipes/index.ts";
export { projectorsBeside, servedAsText } from "./projectors.ts";
export { shardLayout, type ShardLayout, type ShardSegment } from "./layout.ts";
export {
  assembleFromParts,
  partsOf,
  type AssemblePartsOptions,
} from "./assemble-parts.ts";
export { assembleShard, type AssembleOptions } from "./assemble.ts";
export {
  checkShard,
  readShard,
  type EmbeddingTable,
  type ShardInfo,
} from "./shard.ts";
export { splitModel, type SplitOptions, type SplitResult } from "./split.ts";
