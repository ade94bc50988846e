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
export { bytesOf, intsOf, Want } from "./channel.ts";
export { checkModel, inspectModelFile } from "./check-model.ts";
export * from "./chat-template.ts";
export type { StageInfo } from "./child.ts";
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
  type Device,
  type DeviceKind,
  type DeviceList,
  isGpu,
} from "./native-devices.ts";
export * from "./sampling.ts";
export {
  type DecodeResult,
  defaultThreads,
  ENGINE_DEFAULTS,
  StageEngine,
  type StageEngineOptions,
} from "./stage-engine.ts";
export * from "./text-stream.ts";
export { Tokenizer } from "./tokenizer.ts";
export { type VerifyResult, verifyShards } from "./verify.ts";
