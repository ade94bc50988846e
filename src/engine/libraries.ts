/**
 * Where llama.cpp's prebuilt libraries are: npm packages for each platform and kind of processor, and the names of the files in them. The
 * functions take the platform and the names, so that tests can give them those of another machine.
 */
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ShoalError } from "../lib/index.ts";

/** By platform and architecture as Node names them: the packages `@node-llama-cpp/…`, and the folders in them. */
const PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
  "win32-x64": "win-x64",
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

/** Undefined: there is none for such machines. */
export function packageFor(platform: string, arch: string): string | undefined {
  return PACKAGES[`${platform}-${arch}`];
}

/** Throws ENGINE_UNAVAILABLE. */
export function findLibraries(
  platform: string = process.platform,
  arch: string = process.arch,
): Libraries {
  const name = packageFor(platform, arch);
  const machine = { platform, arch };
  if (name === undefined)
    throw new ShoalError(
      "ENGINE_UNAVAILABLE",
      `no inference engine for ${platform}-${arch}: there is no prebuilt llama.cpp for it`,
      machine,
    );
  let directory: string;
  try {
    // The package's main is dist/index.js; the libraries are in bins/<name> beside dist.
    const entry = createRequire(import.meta.url).resolve(
      `@node-llama-cpp/${name}`,
    );
    directory = join(dirname(dirname(entry)), "bins", name);
  } catch (error) {
    throw new ShoalError(
      "ENGINE_UNAVAILABLE",
      `no inference engine for ${platform}-${arch}: the optional package @node-llama-cpp/${name} is not installed`,
      machine,
      error,
    );
  }
  return librariesAmong(readdirSync(directory), directory);
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
