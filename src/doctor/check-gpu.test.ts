/** What the doctor says of graphics cards. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { GpuChoice } from "../engine/index.ts";
import { gpuFindings } from "./check-gpu.ts";

const CPU: GpuChoice = { backend: "cpu", devices: [], problems: [] };
const CARD: GpuChoice["devices"][number] = {
  name: "Vulkan0",
  description: "NVIDIA L4",
  kind: "gpu",
  freeBytes: 2,
  totalBytes: 4,
};

function said(...given: Parameters<typeof gpuFindings>): string[] {
  return gpuFindings(...given).map(({ state, text }) => `${state}: ${text}`);
}

test("what computes is named", () => {
  assert.deepEqual(said(CPU, []), ["ok: the CPU computes"]);
  assert.deepEqual(said({ ...CPU, backend: "vulkan", devices: [CARD] }, []), [
    "ok: Vulkan0 (NVIDIA L4) computes",
  ]);
});

test("a card without its package, and a library that does not work, are told; neither is the cause of a problem", () => {
  const install = "npm install -g @node-llama-cpp/linux-x64-cuda@3.22.1";
  assert.deepEqual(
    said({ ...CPU, problems: ["vulkan: it died"] }, [
      { backend: "cuda", install },
    ]),
    [
      "ok: the CPU computes",
      "note: not used: vulkan: it died",
      `note: a graphics card is there, but llama.cpp's package for cuda is not: ${install}`,
    ],
  );
});
