/** Whether llama.cpp loads a model, told before anybody hashes, cuts or fetches it. Reads all of the file but its weights. */
import { type GgufModel, openModel, type ReadOptions } from "../gguf/index.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";
import { describeModel, type FileInfo, inspectFile } from "../model/index.ts";
import { Op } from "./channel.ts";
import { EngineProcess } from "./engine-process.ts";

/** A vocabulary of 256,000 tokens takes a second, on a slow disk some more. */
const CHECK_TIMEOUT_MS = 60_000;

/**
 * False where this machine has no engine to ask. Throws what `describeModel` throws, and ENGINE_LOAD_FAILED with llama.cpp's own
 * reason.
 */
export async function checkModel(given: GgufModel | string): Promise<boolean> {
  const model = typeof given === "string" ? await openModel(given) : given;
  describeModel(model); // first: its refusals say more
  const path = model.files[0]?.path ?? "";
  await using child = new EngineProcess();
  try {
    await child.requestJson(
      Op.CheckModel,
      { path },
      { timeoutMs: CHECK_TIMEOUT_MS },
    );
    return true;
  } catch (error) {
    if (isShoalError(error, "ENGINE_UNAVAILABLE")) return false;
    if (!isShoalError(error, "ENGINE_DIED")) throw error;
    throw new ShoalError(
      "ENGINE_LOAD_FAILED",
      `llama.cpp aborts when it loads ${path}: ${String(error.details.reason ?? error.message)}`,
      { path },
      error,
    );
  }
}

/** What a file is, and of a model whether llama.cpp loads it. Of a file that lies elsewhere (`open`) only the header is read. */
export async function inspectModelFile(
  path: string,
  options: ReadOptions = {},
): Promise<FileInfo> {
  const info = await inspectFile(path, options);
  if (info.kind !== "model" || options.open !== undefined) return info;
  try {
    await checkModel(path);
    return info;
  } catch (error) {
    if (!isShoalError(error, "ENGINE_LOAD_FAILED")) throw error;
    const { files, sizeBytes, architecture, keyValues, tensors } = info;
    const gguf = { files, sizeBytes, architecture, keyValues, tensors };
    return { kind: "gguf", ...gguf, reason: error.message };
  }
}
