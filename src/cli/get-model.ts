/** `shoal get hf:…`: a model of the hub, or at an https: address, on this disk. */
import { constants } from "node:fs";
import { copyFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Command } from "commander";
import { localFiles } from "../hub/index.ts";
import { checkDiskSpace, ShoalError, writeError } from "../lib/index.ts";
import { common } from "./options.ts";
import { printJson, printLines } from "./output.ts";
import { newModelEvents, stopSignal } from "./run-role.ts";

/** Prints where it is: in the cache, or what was copied to `out`. */
export async function getModel(
  reference: string,
  { out, json }: { out?: string; json?: boolean },
  self: Command,
): Promise<void> {
  const events = newModelEvents(self, reference);
  const { paths } = common(self);
  const signal = stopSignal();
  const { files, sizeBytes } = await localFiles(reference, {
    events,
    paths,
    signal,
  });
  const found =
    out === undefined ? files : await copied(files, sizeBytes, resolve(out));
  if (json === true) await printJson({ path: found[0], files: found });
  else await printLines(found, { ascii: false });
}

async function copied(
  files: readonly string[],
  sizeBytes: number,
  out: string,
): Promise<string[]> {
  const isFolder = (await stat(out).catch(() => undefined))?.isDirectory();
  if (isFolder !== true && files.length > 1)
    throw new ShoalError(
      "USAGE",
      `the model has ${files.length} files: --out must be a folder that exists`,
      { option: "--out" },
    );
  const targets = files.map((file) =>
    isFolder === true ? join(out, basename(file)) : out,
  );
  await checkDiskSpace(isFolder === true ? out : join(out, ".."), sizeBytes);
  for (const [i, file] of files.entries()) {
    const target = targets[i] ?? out;
    try {
      // Where the disk can share the bytes it does.
      await copyFile(file, target, constants.COPYFILE_FICLONE);
    } catch (error) {
      throw writeError(error, target);
    }
  }
  return targets;
}
