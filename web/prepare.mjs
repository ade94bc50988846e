// Builds the page after `npm ci`. Plain JavaScript: it runs before anything is checked. Where the tools of development were left out
// (`npm ci --omit=dev`) there is nothing to build with; roles then say at `/` that the page was not built.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const vite = fileURLToPath(
  new URL("../node_modules/vite/bin/vite.js", import.meta.url),
);
if (!existsSync(vite)) {
  process.stderr.write("shoal: vite is not installed, the page is not built\n");
} else {
  const web = fileURLToPath(new URL(".", import.meta.url));
  const args = [vite, "build", web, "--logLevel", "warn"];
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  process.exitCode = status ?? 1;
}
