/** Which program runs: the built one. In a checkout whose sources changed since, the sources themselves: an old build never runs. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const BUILT = join(ROOT, "dist/shoal.js");

/** Why the built program is not the one to run; undefined if it is. */
export const NOT_BUILT = whyNotBuilt();
export const PROGRAM =
  NOT_BUILT === undefined ? BUILT : join(ROOT, "src/cli/main.ts");

/** @returns {string | undefined} */
function whyNotBuilt() {
  const built = statSync(BUILT, { throwIfNoEntry: false });
  if (built === undefined) return "dist/shoal.js is missing";
  const sources = join(ROOT, "src");
  if (!existsSync(sources)) return undefined; // a package has none
  const newer = readdirSync(sources, {
    recursive: true,
    encoding: "utf8",
  }).find(
    (name) =>
      /(?<!\.(?:test|double|fixture))\.ts$/.test(name) &&
      statSync(join(sources, name)).mtimeMs > built.mtimeMs,
  );
  return newer === undefined
    ? undefined
    : `src/${newer} is newer than dist/shoal.js`;
}
