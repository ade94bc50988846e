/**
 * Unmodified llama.cpp behind TypeScript: prebuilt libraries called through FFI (native.ts is the only file that names a native symbol), in
 * a child process per loaded shard or vocabulary, over a binary channel.
 *
 *     const engine = new StageEngine({ path: "shard-0.gguf", contextLength: 4096, threads: 1 });
 *     await engine.start();                                  // loaded, mapped, dry run done
 *     await engine.openSequence(0, undefined);
 *     const out = await engine.decode(0, 0, tokens, undefined, Want.Nothing);   // activations for the next stage
 *
 *     const tokenizer = await Tokenizer.load("metadata.gguf");
 *     const tokens = await tokenizer.encode("Once upon a time", { addSpecial: true, parseSpecial: false });
 */
export { bytesOf, intsOf, Target, Want } from "./channel.ts";
export type { EngineEvent } from "./channel.ts";
export { EngineHost } from "./engine-host.ts";
export { OWN_LINK } from "./ring-links.ts";
export { checkModel, inspectModelFile } from "./check-model.ts";
export type { StageInfo } from "./child.ts";
export { chunksOf, EXACT_CHUNK_TOKENS } from "./chunks.ts";
export {
  type BackendState,
  chooseGpu,
  engineOn,
  type GpuChoice,
  type MissingPackage,
  missingPackages,
  surveyDevices,
} from "./gpu.ts";
export {
  type Backend,
  BACKENDS,
  findLibraries,
  type Libraries,
  packageSpec,
} from "./libraries.ts";
export {
  factsPath,
  KeptFacts,
  keptPath,
  type KeptPlace,
  tokensOf,
} from "./kept-files.ts";
export type { KeptPrefix } from "./kept-sessions.ts";
export { KV_TYPES, type KvType } from "./kv.ts";
export {
  type Device,
  type DeviceKind,
  type DeviceList,
  isGpu,
} from "./native-devices.ts";
export * from "./sampling.ts";
export { alignedPrefix, commonLength } from "./prefix-rules.ts";
export {
  type DecodeResult,
  type SessionAtStage,
  StageEngine,
} from "./stage-engine.ts";
export {
  defaultThreads,
  ENGINE_DEFAULTS,
  type StageEngineOptions,
} from "./stage-options.ts";
export type { StageTables } from "./tables.ts";
export { Tokenizer } from "./tokenizer.ts";
export type { InfillTokens } from "./vocabulary.ts";
export { BATCH_MODES, type BatchMode } from "./turns.ts";
export { type VerifyResult, verifyShards } from "./verify.ts";
