/** Where the program is: a checkout runs from src, a package from the bundle in dist. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";

/** The folder with our package.json. */
export const PACKAGE_ROOT: string = packageRoot(import.meta.dirname);

/** The package's version, for identify, announcements and `--version`. */
export const VERSION: string = (
  JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")) as {
    version: string;
  }
).version;

/**
 * The file to start as process or thread `name`, beside the file whose `import.meta.url` is given: `name.ts` among the sources, `name.js`
 * in the flat bundle.
 */
export function programOf(name: string, importer: string): URL {
  return new URL(`${name}${extname(importer)}`, importer);
}

function packageRoot(folder: string): string {
  return existsSync(join(folder, "package.json"))
    ? folder
    : packageRoot(dirname(folder));
}
