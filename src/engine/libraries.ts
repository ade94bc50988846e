/**
 * Where llama.cpp's prebuilt libraries are: npm packages for each platform and kind of processor, and the names of the files in them. Those
 * for graphics cards are large, so no package of ours depends on them: users install the one they need. The functions take the platform, the
 * folders and the names, so that tests can give them those of another machine.
 */
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { ShoalError } from "../lib/index.ts";

/** What computes: a kind of processor, and the library that drives it. */
export const BACKENDS = ["cuda", "vulkan", "metal", "cpu"] as const;
export type Backend = (typeof BACKENDS)[number];

/** By platform and architecture as Node names them: the packages `@node-llama-cpp/…`, and the folders in them. */
const PACKAGES: Readonly<
  Record<string, Readonly<Partial<Record<Backend, string>>>>
> = {
  "linux-x64": {
    cuda: "linux-x64-cuda",
    vulkan: "linux-x64-vulkan",
    cpu: "linux-x64",
  },
  "linux-arm64": { cpu: "linux-arm64" },
  "darwin-arm64": { metal: "mac-arm64-metal", cpu: "mac-arm64-metal" },
  "darwin-x64": { cpu: "mac-x64" },
  "win32-x64": {
    cuda: "win-x64-cuda",
    vulkan: "win-x64-vulkan",
    cpu: "win-x64",
  },
};

/** The packages for graphics cards have the version of their platform's package for the CPU (package.json), thus the same llama.cpp. */
const PACKAGE_VERSIONS: Readonly<Record<string, string>> = {
  linux: "3.22.1",
  darwin: "3.21.1",
  win32: "3.21.1",
};

/** A library's file: "libllama.metal.v0.4.0.dylib", "ggml-base.dll". Not "libllama-common.so", nor a Mac's "libggml-metal.so". */
const LIBRARY =
  /^(?:lib)?(?<name>ggml-base|ggml|llama)(?:\.[a-z]+)?(?:\.v(?<version>\d+\.\d+\.\d+))?\.(?:so|dylib|dll)$/;

/** Those that Shoal calls; each depends on those before it, so they are opened in this order. */
export interface Libraries {
  directory: string;
  base: string;
  ggml: string;
  llama: string;
  /** Of llama.cpp: "0.5.0". */
  version: string;
}

/** Where to look, and for which kind of machine. */
export interface Machine {
  platform: string;
  arch: string;
  /** Folders; packages are looked for in the `node_modules` of each and above it, in this order. */
  folders: readonly string[];
  /** A folder with unpacked packages, each in its own folder, or with a `node_modules`: first of all. */
  engines?: string | undefined;
}

export function thisMachine(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Machine {
  const { platform, arch, execPath } = process;
  // npx runs a Node of its own and tells the prefix of npm's.
  const given =
    environment.npm_config_global_prefix ?? environment.npm_config_prefix;
  const global =
    platform === "win32"
      ? join(
          given ?? join(environment.APPDATA ?? dirname(execPath), "npm"),
          "node_modules",
        )
      : join(given ?? dirname(dirname(execPath)), "lib", "node_modules");
  return {
    platform,
    arch,
    folders: [import.meta.dirname, process.cwd(), global],
    engines: environment.SHOAL_ENGINES,
  };
}

/** Undefined: there is none for such machines. */
export function packageFor(
  platform: string,
  arch: string,
  backend: Backend = "cpu",
): string | undefined {
  return PACKAGES[`${platform}-${arch}`]?.[backend];
}

/** As npm takes it: "@node-llama-cpp/linux-x64-vulkan@3.22.1". */
export function packageSpec(platform: string, name: string): string {
  return `@node-llama-cpp/${name}@${PACKAGE_VERSIONS[platform] ?? "latest"}`;
}

/** Throws ENGINE_UNAVAILABLE, or GPU_UNAVAILABLE for another backend than the CPU. */
export function findLibraries(
  backend: Backend = "cpu",
  machine: Machine = thisMachine(),
): Libraries {
  const { platform, arch } = machine;
  const code = backend === "cpu" ? "ENGINE_UNAVAILABLE" : "GPU_UNAVAILABLE";
  const details = { platform, arch, backend };
  const name = packageFor(platform, arch, backend);
  if (name === undefined)
    throw new ShoalError(
      code,
      backend === "cpu"
        ? `no inference engine for ${platform}-${arch}: there is no prebuilt llama.cpp for it`
        : `there is no prebuilt llama.cpp with ${backend} for ${platform}-${arch}`,
      details,
    );
  const directory = directoryOf(name, machine);
  if (directory === undefined)
    throw new ShoalError(
      code,
      backend === "cpu"
        ? `no inference engine for ${platform}-${arch}: the optional package @node-llama-cpp/${name} is not installed`
        : `the package ${packageSpec(platform, name)} is not installed`,
      details,
    );
  return librariesAmong(readdirSync(directory), directory);
}

export function isInstalled(
  backend: Backend,
  machine: Machine = thisMachine(),
): boolean {
  const name = packageFor(machine.platform, machine.arch, backend);
  return name !== undefined && directoryOf(name, machine) !== undefined;
}

/** The package's folder of libraries: `bins/<name>`. Undefined: it is not installed. */
function directoryOf(name: string, machine: Machine): string | undefined {
  const { engines, folders } = machine;
  if (engines !== undefined) {
    const unpacked = join(resolve(engines), name, "bins", name);
    if (existsSync(unpacked)) return unpacked;
  }
  for (const folder of engines === undefined ? folders : [engines, ...folders])
    try {
      // The package's main is dist/index.js; the libraries are in bins/<name> beside dist.
      const entry = createRequire(join(resolve(folder), "_")).resolve(
        `@node-llama-cpp/${name}`,
      );
      return join(dirname(dirname(entry)), "bins", name);
    } catch {
      // not there: look in the next
    }
  return undefined;
}

/** Throws ENGINE_UNAVAILABLE if one is missing or tells no version. */
export function librariesAmong(
  files: readonly string[],
  directory: string,
): Libraries {
  const found = new Map(
    files.flatMap((file) => {
      const { name, version } = LIBRARY.exec(file)?.groups ?? {};
      return name === undefined ? [] : [[name, { file, version }]];
    }),
  );
  const [base, ggml, llama] = ["ggml-base", "ggml", "llama"].map((name) => {
    const file = found.get(name)?.file;
    if (file !== undefined) return file;
    throw new ShoalError("ENGINE_UNAVAILABLE", `no ${name} in ${directory}`, {
      directory,
    });
  }) as [string, string, string];
  const version = found.get("llama")?.version;
  if (version === undefined)
    throw new ShoalError(
      "ENGINE_UNAVAILABLE",
      `${llama} in ${directory} tells no version`,
      { directory },
    );
  return { directory, base, ggml, llama, version };
}
