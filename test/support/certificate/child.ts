/** Certifies the cases whose numbers it is given, and says each step on a line, since llama.cpp may end the process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CASES } from "./cases.ts";
import { certify } from "./certify.ts";
import { writeTinyModel } from "./tiny-model.ts";

export type Said =
  | { index: number; begins: string }
  | { index: number; cuts: number; layers: number }
  | { index: number; failed: string };

const say = (line: Said): boolean =>
  process.stdout.write(`${JSON.stringify(line)}\n`);

for (const index of process.argv.slice(2).map(Number)) {
  const { architecture, ...options } = CASES[index]!;
  const folder = await mkdtemp(join(tmpdir(), "shoal-certificate-"));
  const path = join(folder, "model.gguf");
  try {
    say({ index, begins: "the model" });
    await writeTinyModel(path, architecture, options);
    const { layers, cuts } = await certify(path, folder, (begins) =>
      say({ index, begins }),
    );
    say({ index, cuts: cuts.length, layers });
  } catch (error) {
    say({ index, failed: String(error) });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
