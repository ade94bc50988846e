/** The engine's libraries on every platform, by the files that are in the packages. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findLibraries, librariesAmong, packageFor } from "./libraries.ts";
import { checkLayout } from "./native.ts";

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
  assert.throws(() => findLibraries("freebsd", "x64"), {
    code: "ENGINE_UNAVAILABLE",
    message: /freebsd-x64: there is no prebuilt llama\.cpp/,
  });
  // npm installs it on its platform only.
  assert.throws(() => findLibraries("win32", "x64"), {
    code: "ENGINE_UNAVAILABLE",
    message: /package @node-llama-cpp\/win-x64 is not installed/,
  });
});

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
