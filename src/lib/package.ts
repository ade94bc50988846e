/** Where the program lies: in a checkout it runs from src, in a package from the bundle in dist. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";

/** The folder of our package.json. */
export const PACKAGE_ROOT: string = packageRoot(import.meta.dirname);

/** The package's version, for identify, announcements and `--version`. */
export const VERSION: string = (
  JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")) as {
    version: string;
  }
).version;

/**
 * The program `name` of a process or a thread of its own, beside the file whose `import.meta.url` this is: `name.ts` among the
 * sources, `name.js` in the bundle, which lies flat.
 */
export function programOf(name: string, importer: string): URL {
  return new URL(`${name}${extname(importer)}`, importer);
}

function packageRoot(folder: string): string {
  return existsSync(join(folder, "package.json"))
    ? folder
    : packageRoot(dirname(folder));
}
