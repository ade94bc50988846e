/** A program of somebody else's, which has Shoal among its packages. */
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

/** Makes `folder` such a program's, with this checkout as its package and no other packages but the types of Node. */
export async function makeConsumer(folder: string): Promise<void> {
  const packages = join(folder, "node_modules");
  await mkdir(join(packages, "@types"), { recursive: true });
  await symlink(ROOT, join(packages, "shoal"));
  await linkTypes(folder);
}

/** The types of Node are a package that a program has beside Shoal. */
export async function linkTypes(folder: string): Promise<void> {
  const packages = join(folder, "node_modules");
  await mkdir(join(packages, "@types"), { recursive: true });
  // @types/node needs undici's.
  for (const name of ["@types/node", "undici-types"])
    await symlink(join(ROOT, "node_modules", name), join(packages, name));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }\n');
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
