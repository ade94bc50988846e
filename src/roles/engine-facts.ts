/** What a node says of a shard's engine. */
import type { StageInfo } from "../engine/index.ts";

/** As an announcement takes it. */
const ENGINE_CHARS = 128;

/** Of the machine, and of the GPUs that compute. */
export function memoryOf(info: StageInfo | undefined): number | undefined {
  return info && info.rssBytes + info.gpuBytes;
}

/** "llama.cpp v0.5.0 on CPU" */
export function engineOf(info: StageInfo | undefined): string | undefined {
  if (info === undefined) return undefined;
  const { version, device } = info;
  return `llama.cpp v${version} on ${device}`.slice(0, ENGINE_CHARS);
}
