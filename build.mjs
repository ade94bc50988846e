/**
 * Builds dist: the program's bundle from src, the page from web, the licences of what is inside both and, with `--types`, the
 * declarations of the library. Plain JavaScript: it runs with `npm ci`. Without the development dependencies (`npm ci --omit=dev`) it
 * says what is missing; a package holds dist already.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";

const ROOT = import.meta.dirname;
const DIST = join(ROOT, "dist");
/** Native, or found at run time: they stay packages of their own. */
const OUTSIDE = ["koffi", "classic-level"];
const LIBRARY = join(ROOT, "src/index.ts");

if (existsSync(join(ROOT, "node_modules/rolldown"))) {
  await build();
  if (process.argv.includes("--types")) await types();
} else
  process.stderr.write(
    "shoal: nothing was built, since the development dependencies are not installed. Run `npm ci` without --omit=dev.\n",
  );

async function build() {
  const [{ rolldown }, vite] = await Promise.all([
    import("rolldown"),
    import("vite"),
  ]);
  const bundle = await rolldown({
    cwd: ROOT,
    platform: "node",
    input: {
      shoal: "src/cli/main.ts",
      index: LIBRARY,
      ...programs("child", "transfer-worker", "hash-worker"),
    },
    external: OUTSIDE,
    treeshake: {
      // Ours do nothing when imported but define things; so a command loads what it uses of a folder, not the folder.
      moduleSideEffects: [{ test: /[\\/]src[\\/]/, sideEffects: false }],
    },
    onLog(level, log, report) {
      if (level === "warn") throw new Error(log.message);
      report(level, log);
    },
  });
  const program = await bundle.write({
    dir: DIST,
    cleanDir: true,
    // No hash in the names: a new build takes the place of the old one in the compile cache.
    chunkFileNames: "[name].js",
    comments: { legal: false },
    minify: { compress: true, mangle: false, codegen: true },
  });
  const page = await vite.build({ root: join(ROOT, "web"), logLevel: "warn" });
  const modules = [program, page]
    .flat()
    .flatMap((built) => ("output" in built ? built.output : []))
    .flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
  writeFileSync(join(DIST, "LICENSES.txt"), licences(modules));
}

/** The programs of processes and threads, by the names that programOf (src/lib/package.ts) looks for. @param {string[]} names */
function programs(...names) {
  return Object.fromEntries(
    names.map((name) => {
      const [path] = globSync(`src/**/${name}.ts`, { cwd: ROOT });
      if (path === undefined) throw new Error(`src holds no ${name}.ts`);
      return [name, path];
    }),
  );
}

/** One file that needs no other: an import in it would be a package that those who use the library must install. */
async function types() {
  const [{ rolldown }, { dts }] = await Promise.all([
    import("rolldown"),
    import("rolldown-plugin-dts"),
  ]);
  const scratch = mkdtempSync(join(ROOT, "dist/types-"));
  try {
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const options = ["--noEmit", "false", "--emitDeclarationOnly"];
    const places = ["--outDir", scratch, "--rootDir", join(ROOT, "src")];
    const config = join(scratch, "tsconfig.json");
    writeFileSync(
      config,
      JSON.stringify({
        extends: join(ROOT, "tsconfig.json"),
        compilerOptions: { declaration: true, allowJs: false, checkJs: false },
        include: [],
        files: [LIBRARY],
      }),
    );
    execFileSync(process.execPath, [tsc, "-p", config, ...options, ...places], {
      stdio: "inherit",
    });
    const bundle = await rolldown({
      input: { index: join(scratch, "index.d.ts") },
      external: /^[^./]/,
      treeshake: { moduleSideEffects: false },
      plugins: [dts({ dtsInput: true, emitDtsOnly: true, tsconfig: false })],
    });
    await bundle.write({ dir: DIST });
  } finally {
    rmSync(scratch, { recursive: true });
  }
  const text = readFileSync(join(DIST, "index.d.ts"), "utf8");
  if (/^import |^export .* from |\bimport\("/m.test(text))
    throw new Error("dist/index.d.ts imports a package");
}

/** @param {string[]} modules */
function licences(modules) {
  const folders = new Set(
    modules
      .map(
        (id) =>
          /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id)?.[0],
      )
      .filter((folder) => folder !== undefined),
  );
  return [...folders].sort().map(licence).join("\n");
}

/** @param {string} folder */
function licence(folder) {
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const texts = readdirSync(folder)
    .filter((name) => /^(licen[cs]e|copying|notice)/i.test(name))
    .map((name) => readFileSync(join(folder, name), "utf8").trim());
  if (about.license === undefined && texts.length === 0)
    throw new Error(`${basename(folder)} names no licence`);
  return `${"=".repeat(80)}\n${about.name} ${about.version} (${about.license})\n\n${texts.join("\n\n")}\n`;
}
