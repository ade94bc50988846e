/** How to install a package so that this program finds it. */
import { sep } from "node:path";
import { PACKAGE_ROOT } from "../lib/index.ts";

/**
 * By where Shoal itself is: in a checkout its own folder, which a plain `npm install` would change; in a project's `node_modules` beside it;
 * else (installed globally, or in npx's cache, which comes and goes) globally.
 */
export function installCommand(
  spec: string,
  root: string = PACKAGE_ROOT,
): string {
  const folders = root.split(/[\\/]/);
  const at = folders.lastIndexOf("node_modules");
  if (at === -1)
    return `npm install --no-save --prefix ${quoted(root)} ${spec}`;
  const above = folders.slice(0, at);
  // <prefix>/lib/node_modules, and npm's own folder on Windows.
  const isGlobal = above.at(-1) === "lib" || above.at(-1) === "npm";
  if (isGlobal || folders.includes("_npx")) return `npm install -g ${spec}`;
  return `npm install --prefix ${quoted(above.join(sep))} ${spec}`;
}

function quoted(folder: string): string {
  return /[^\w./\\:~-]/.test(folder) ? `"${folder}"` : folder;
}
