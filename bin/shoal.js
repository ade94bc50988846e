#!/usr/bin/env node
// The program's entry. Plain JavaScript, so that an old Node gets a sentence instead of a syntax error.
import { mkdirSync, statSync } from "node:fs";
import module from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { cacheFolder } from "./platform.js";

const NEEDED = 24;
if (Number(process.versions.node.split(".")[0]) < NEEDED) {
  const { restart } = await import("./restart.js");
  restart(NEEDED);
} else {
  if (process.env.SHOAL_WRAPPER_FD !== undefined) {
    const { followWrapper } = await import("./restart.js");
    followWrapper();
  }
  useCompileCache();
  const program = await load();
  await program?.main(process.argv);
}

async function load() {
  const { NOT_BUILT, PROGRAM } = await import("./built.js");
  try {
    // A URL: a path that begins with a drive is not one.
    return await import(pathToFileURL(PROGRAM).href);
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    if (NOT_BUILT === undefined || code !== "ERR_MODULE_NOT_FOUND") throw error;
    process.stderr.write(
      `shoal: ${NOT_BUILT}, and the sources need the development dependencies: run "npm ci" (NOT_BUILT)\n`,
    );
    process.exitCode = 69;
    return undefined;
  }
}

/**
 * Compiled code is kept for the next start. The variable hands the folder to child processes and threads, which the call alone does
 * not. The folder is the user's own: code from a folder that others may write to would be theirs.
 */
function useCompileCache() {
  const { env, getuid } = process;
  if ((env.NODE_COMPILE_CACHE ?? env.NODE_DISABLE_COMPILE_CACHE) !== undefined)
    return;
  const folder = join(
    cacheFolder(process.platform, env, homedir()),
    "compiled",
  );
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(folder);
    if (getuid !== undefined && (uid !== getuid() || (mode & 0o022) !== 0))
      return;
  } catch {
    return; // a home that is not there, or read-only: it starts without
  }
  env.NODE_COMPILE_CACHE = folder;
  module.enableCompileCache(folder);
}
