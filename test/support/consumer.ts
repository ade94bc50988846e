/** Another project's program that has Shoal among its packages. */
import { execFile } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "./swarm.ts";

const run = promisify(execFile);

/** Strict, and nothing of any package is taken on trust. */
const TSCONFIG = {
  compilerOptions: {
    target: "es2024",
    module: "nodenext",
    types: ["node"],
    noEmit: true,
    strict: true,
    skipLibCheck: false,
  },
  include: ["*.ts"],
};

/** Makes `folder` such a program's, with no other package but the types of Node. What lies above it is found as well. */
export async function makeConsumer(folder: string): Promise<void> {
  await mkdir(join(folder, "node_modules/@types"), { recursive: true });
  const types = "node_modules/@types/node";
  await symlink(join(ROOT, types), join(folder, types));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }\n');
}

/** This checkout as its package. */
export async function linkShoal(folder: string): Promise<void> {
  await symlink(ROOT, join(folder, "node_modules/shoal"));
}

/** Rejects with what the compiler says. */
export async function typeCheck(folder: string): Promise<void> {
  const config = join(folder, "tsconfig.json");
  await writeFile(config, JSON.stringify(TSCONFIG));
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  try {
    await run(process.execPath, [tsc, "-p", config], { timeout: 120_000 });
  } catch (error) {
    const { stdout = "", message } = error as Error & { stdout?: string };
    throw new Error(stdout === "" ? message : stdout, { cause: error });
  }
}
