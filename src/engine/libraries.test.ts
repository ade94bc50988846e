/** The engine's libraries on every platform, by the files that are in the packages. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { PACKAGE_ROOT } from "../lib/index.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import {
  findLibraries,
  librariesAmong,
  type Machine,
  packageFor,
  packageSpec,
} from "./libraries.ts";
import { checkLayout } from "./native.ts";

const ours = JSON.parse(
  readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8"),
) as { optionalDependencies: Readonly<Record<string, string>> };

/** What is in `bins` of each package beside one file per kind of processor, as on 2026-11-26: base, ggml, llama, version, others. */
const FILES: Readonly<
  Record<string, [string, string, string, string, readonly string[]]>
> = {
  "linux-x64 3.22.1": [
    "libggml-base.so",
    "libggml.v0.5.0.so",
    "libllama.v0.5.0.so",
    "0.5.0",
    ["libggml-cpu-haswell.so", "libllama-common.so", "llama-addon.node"],
  ],
  "linux-x64-vulkan 3.22.1": [
    "libggml-base.so",
    "libggml.vulkan.v0.5.0.so",
    "libllama.vulkan.v0.5.0.so",
    "0.5.0",
    ["libggml-vulkan.so", "libllama-common.so", "llama-addon.node"],
  ],
  "linux-arm64 3.22.1": [
    "libggml-base.so",
    "libggml.v0.5.0.so",
    "libllama.v0.5.0.so",
    "0.5.0",
    ["libggml-cpu-armv8.2_1.so", "libllama-common.so", "llama-addon.node"],
  ],
  "mac-arm64-metal 3.21.1": [
    "libggml-base.dylib",
    "libggml.metal.v0.4.0.dylib",
    "libllama.metal.v0.4.0.dylib",
    "0.4.0",
    [
      "libggml-blas.so",
      "libggml-cpu-apple_m1.so",
      "libggml-metal.so",
      "libllama-common.dylib",
      "llama-addon.node",
    ],
  ],
  "mac-x64 3.21.1": [
    "libggml-base.dylib",
    "libggml.v0.4.0.dylib",
    "libllama.v0.4.0.dylib",
    "0.4.0",
    ["libggml-blas.so", "libggml-cpu-haswell.so", "libllama-common.dylib"],
  ],
  "win-x64 3.21.1": [
    "ggml-base.dll",
    "ggml.v0.4.0.dll",
    "llama.v0.4.0.dll",
    "0.4.0",
    [
      "ggml-cpu-haswell.dll",
      "llama-addon.lib",
      "llama-addon.node",
      "llama-common.dll",
    ],
  ],
  "win-x64-vulkan 3.21.1": [
    "ggml-base.dll",
    "ggml.vulkan.v0.4.0.dll",
    "llama.vulkan.v0.4.0.dll",
    "0.4.0",
    ["ggml-vulkan.dll", "llama-addon.lib", "llama-common.dll"],
  ],
};

for (const [name, [base, ggml, llama, version, others]] of Object.entries(
  FILES,
))
  test(`the libraries of ${name} are told from the other files`, () => {
    const files = [...others, "_nlcBuildMetadata.json", base, ggml, llama];
    const found = { directory: "bins", base, ggml, llama, version };
    assert.deepEqual(librariesAmong(files, "bins"), found);
    assert.deepEqual(librariesAmong(files.toReversed(), "bins"), found);
    for (const missing of [base, ggml, llama])
      assert.throws(
        () =>
          librariesAmong(
            files.filter((file) => file !== missing),
            "bins",
          ),
        { code: "ENGINE_UNAVAILABLE" },
      );
  });

test("each platform has its package; others are refused by name", () => {
  for (const [platform, arch, name] of [
    ["linux", "x64", "linux-x64"],
    ["linux", "arm64", "linux-arm64"],
    ["darwin", "arm64", "mac-arm64-metal"],
    ["darwin", "x64", "mac-x64"],
    ["win32", "x64", "win-x64"],
  ] as const)
    assert.equal(packageFor(platform, arch), name);
  assert.equal(packageFor("linux", "arm64", "vulkan"), undefined);
  assert.throws(() => findLibraries("cpu", machine("freebsd", "x64")), {
    code: "ENGINE_UNAVAILABLE",
    message: /freebsd-x64: there is no prebuilt llama\.cpp/,
  });
  assert.throws(() => findLibraries("cuda", machine("darwin", "x64")), {
    code: "GPU_UNAVAILABLE",
    message: "there is no prebuilt llama.cpp with cuda for darwin-x64",
  });
  assert.throws(() => findLibraries("cpu", machine("win32", "x64")), {
    code: "ENGINE_UNAVAILABLE",
    message: /package @node-llama-cpp\/win-x64 is not installed/,
  });
  assert.throws(() => findLibraries("vulkan", machine("win32", "x64")), {
    code: "GPU_UNAVAILABLE",
    message:
      "the package @node-llama-cpp/win-x64-vulkan@3.21.1 is not installed",
  });
});

test("a graphics card's package has the version of the CPU's, so both are the same llama.cpp", () => {
  for (const [platform, name] of [
    ["linux", "linux-x64"],
    ["linux", "linux-arm64"],
    ["darwin", "mac-arm64-metal"],
    ["win32", "win-x64"],
  ] as const)
    assert.equal(
      packageSpec(platform, name),
      `@node-llama-cpp/${name}@${ours.optionalDependencies[`@node-llama-cpp/${name}`]}`,
    );
});

test("a package is found in SHOAL_ENGINES, unpacked or installed, then in each folder's node_modules, in order", async (t) => {
  const home = await temporaryFolder(t);
  const [engines, first, second] = ["engines", "first", "second"].map((name) =>
    join(home, name),
  ) as [string, string, string];
  const at = (folder: string): string =>
    join(folder, "node_modules/@node-llama-cpp/linux-x64-vulkan");
  const search = { ...machine("linux", "x64"), folders: [first, second] };
  const found = (): string => findLibraries("vulkan", search).directory;
  await place(at(second));
  assert.equal(found(), join(at(second), "bins/linux-x64-vulkan"));
  await place(at(first));
  assert.equal(found(), join(at(first), "bins/linux-x64-vulkan"));
  const inEngines = { ...search, engines };
  await place(at(engines));
  assert.equal(
    findLibraries("vulkan", inEngines).directory,
    join(at(engines), "bins/linux-x64-vulkan"),
  );
  await place(join(engines, "linux-x64-vulkan"));
  assert.equal(
    findLibraries("vulkan", inEngines).directory,
    join(engines, "linux-x64-vulkan/bins/linux-x64-vulkan"),
  );
  assert.throws(() => findLibraries("cuda", inEngines), {
    code: "GPU_UNAVAILABLE",
  });
});

function machine(platform: string, arch: string): Machine {
  return { platform, arch, folders: [] };
}

/** A package with the files' names, as npm unpacks it. */
async function place(folder: string): Promise<void> {
  const bins = join(folder, "bins/linux-x64-vulkan");
  await mkdir(bins, { recursive: true });
  await mkdir(join(folder, "dist"));
  await writeFile(join(folder, "dist/index.js"), "");
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({ main: "dist/index.js" }),
  );
  const [base, ggml, llama] = FILES["linux-x64-vulkan 3.22.1"] ?? [];
  for (const file of [base, ggml, llama])
    await writeFile(join(bins, file ?? ""), "");
}

test("a library that tells no version, or other defaults, is refused; the reason names the versions that are taken", () => {
  assert.throws(
    () =>
      librariesAmong(["libggml-base.so", "libggml.so", "libllama.so"], "bins"),
    { code: "ENGINE_UNAVAILABLE", message: /libllama\.so in bins tells no/ },
  );
  assert.throws(
    () => checkLayout("0.6.0", { n_ctx: 0, type_k: 1 }, { n_ctx: 512 }),
    {
      code: "ENGINE_UNAVAILABLE",
      message:
        "the libraries are llama.cpp v0.6.0: its default of n_ctx is 0, not 512; this program takes v0.4.0 and v0.5.0",
    },
  );
});
