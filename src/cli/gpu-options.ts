/** Which device computes, for the commands that compute. */
import type { Command, Option } from "commander";
import { option } from "./options.ts";
import { wholeNumber } from "./values.ts";

export interface GpuFlags {
  gpu: string;
  gpuLayers?: number;
}

export function gpuOption(): Option {
  return option(
    "--gpu <name>",
    'device to compute on: "auto" (the best graphics card that llama.cpp finds, else the CPU), "off" (the CPU), or a name from `shoal devices`, such as Vulkan0 or cuda',
  ).default("auto");
}

/** To the group of options that the command added last. */
export function withGpu(command: Command): Command {
  return command
    .addOption(gpuOption())
    .addOption(
      option(
        "--gpu-layers <n>",
        "layers to put on the graphics card; the CPU computes the others (default: all)",
        wholeNumber(0, 65_536),
      ),
    );
}
