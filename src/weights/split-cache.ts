/** A model's shards, cut once and kept by the model's id and the number of shards. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { MANIFEST_FILE } from "./model-parts.ts";
import type { GgufModel } from "../gguf/index.ts";
import {
  type EventSink,
  formatBytes,
  moveFile,
  removeTree,
} from "../lib/index.ts";
import {
  buildManifest,
  encodeManifest,
  type Manifest,
  manifestId,
  splitModel,
} from "../model/index.ts";

export interface Split {
  directory: string;
  manifest: Manifest;
}

export async function splitOnce(
  model: GgufModel,
  path: string,
  shards: number,
  cacheDir: string,
  { events, signal }: { events: EventSink; signal: AbortSignal },
): Promise<Split> {
  const manifest = await buildManifest(model, { signal });
  const bytes = encodeManifest(manifest);
  const directory = join(cacheDir, manifestId(bytes), `${shards}-shards`);
  const kept = await readFile(join(directory, MANIFEST_FILE)).catch(
    () => undefined,
  );
  if (kept !== undefined && Buffer.from(bytes).equals(kept))
    return { directory, manifest };
  const size = formatBytes(
    model.files.reduce((sum, file) => sum + file.sizeBytes, 0),
  );
  events.info("TENSOR_LOAD", `cutting ${manifest.name} into ${shards} shards`, {
    size,
    into: directory,
  });
  // Cut in a temporary folder and renamed at the end, so that an interrupted start leaves nothing incomplete.
  const temporary = `${directory}.${process.pid}.tmp`;
  try {
    await splitModel({ path, shards, outDir: temporary, signal });
    await moveFile(temporary, directory).catch(async (error: unknown) => {
      // Another process was faster, with the same bytes.
      if (
        !Buffer.from(bytes).equals(
          await readFile(join(directory, MANIFEST_FILE)).catch(() =>
            Buffer.alloc(0),
          ),
        )
      )
        throw error;
    });
  } finally {
    await removeTree(temporary);
  }
  return { directory, manifest };
}
