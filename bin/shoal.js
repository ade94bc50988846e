#!/usr/bin/env node
// The program's entry. Plain JavaScript, so that an old Node gets a sentence instead of a syntax error.
import module from "node:module";

const NEEDED = 24;
const major = Number(process.versions.node.split(".")[0]);
if (major < NEEDED) {
  process.stderr.write(
    `shoal: it needs Node ${NEEDED}, this is ${process.versions.node}; npm brings the right one: ` +
      `run "npm exec shoal -- ${process.argv.slice(2).join(" ")}" in its folder (NODE_VERSION)\n`,
  );
  process.exit(69);
}
module.enableCompileCache?.();
const { main } = await import("../src/cli/main.ts");
await main(process.argv);
