/** A machine whose llama.cpp is an older version, by the name of its libraries. */
import { mkdir, readdir, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import type { TestContext } from "node:test";
import { findLibraries } from "../../src/engine/index.ts";
import { temporaryFolder } from "./folder.ts";

/** The engines that start from here on have this machine's libraries under names that tell v0.4.0. */
export async function renamedEngine(t: TestContext): Promise<void> {
  const { directory, version } = findLibraries();
  const name = basename(directory);
  const engines = await temporaryFolder(t);
  const bins = join(engines, name, "bins", name);
  await mkdir(bins, { recursive: true });
  for (const file of await readdir(directory))
    await symlink(
      join(directory, file),
      join(bins, file.replace(`.v${version}.`, ".v0.4.0.")),
    );
  const { SHOAL_ENGINES: before } = process.env;
  process.env.SHOAL_ENGINES = engines;
  t.after(() => {
    if (before === undefined) delete process.env.SHOAL_ENGINES;
    else process.env.SHOAL_ENGINES = before;
  });
}
