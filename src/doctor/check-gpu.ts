/** What would compute here, and is a graphics card left unused because its package is missing? */
import {
  chooseGpu,
  type GpuChoice,
  type MissingPackage,
  missingPackages,
} from "../engine/index.ts";
import { ShoalError } from "../lib/index.ts";
import type { Check } from "./examination.ts";
import { type Finding, note, ok, problem } from "./finding.ts";

export const checkGpu: Check = async (examination) => {
  const { gpu } = examination.options;
  const missing = gpu === "off" ? [] : missingPackages();
  try {
    const choice = await chooseGpu(gpu);
    examination.gpu = choice;
    return gpuFindings(choice, missing);
  } catch (error) {
    const { code, message } = ShoalError.from(error);
    if (code !== "GPU_UNAVAILABLE") throw error;
    return [problem("gpu", code, message, { wanted: gpu })];
  }
};

export function gpuFindings(
  { backend, devices, problems }: GpuChoice,
  missing: readonly MissingPackage[],
): Finding[] {
  const names = devices.map(
    ({ name, description }) => `${name} (${description})`,
  );
  return [
    ok("gpu", `${names.join(", ") || "the CPU"} computes`, { backend }),
    ...problems.map((line) => note("gpu", `not used: ${line}`)),
    ...missing.map(({ backend: unused, install }) =>
      note(
        "gpu",
        `a graphics card is there, but llama.cpp's package for ${unused} is not: ${install}`,
      ),
    ),
  ];
}
