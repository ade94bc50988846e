/** A test file of many: imports those that it is given, which then run one after the other in this process. */
import { resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");
for (const file of process.argv.slice(2)) await import(resolve(ROOT, file));
