/** `shoal devices`: what can compute on this machine, what `shoal node` would use, and what is missing. */
import { Command } from "commander";
import {
  type BackendState,
  chooseGpu,
  type GpuChoice,
  surveyDevices,
} from "../engine/index.ts";
import { formatBytes } from "../lib/index.ts";
import { gpuOption, type GpuFlags } from "./gpu-options.ts";
import { common, examples, option, quiet } from "./options.ts";
import { printJson, printLines } from "./output.ts";
import { newEvents } from "./run-role.ts";

const NAMES = {
  cuda: "CUDA",
  vulkan: "Vulkan",
  metal: "Metal",
  cpu: "CPU",
} as const;

export function devicesCommand(): Command {
  const command = new Command("devices")
    .description(
      "list the graphics cards and processors that can compute here, and what is missing",
    )
    .optionsGroup("Output options:")
    .addOption(option("--json", "print the list as JSON"))
    .optionsGroup("Computing options:")
    .addOption(gpuOption());
  return examples(
    command,
    "shoal devices",
    "shoal devices --gpu Vulkan0",
  ).action(async (_, self: Command) => {
    const { gpu, json } = self.opts<GpuFlags & { json?: true }>();
    newEvents(quiet(self, "warn"), process.stderr);
    const backends = await surveyDevices();
    const choice = await chooseGpu(gpu);
    if (json === true) await printJson({ backends, choice });
    else await printLines(linesOf(backends, choice), common(self));
  });
}

/** A table of the devices, the one that is used, and what is missing. */
export function linesOf(
  backends: readonly BackendState[],
  choice: Pick<GpuChoice, "backend" | "devices">,
): string[] {
  const rows = backends.flatMap(({ backend, version, devices }) =>
    devices.map((device) => [
      isUsed(choice, backend, device.name) ? "*" : "",
      device.name,
      device.kind,
      device.description,
      `${formatBytes(device.freeBytes)} of ${formatBytes(device.totalBytes)} free`,
      `llama.cpp v${version ?? "?"}, ${NAMES[backend]}`,
    ]),
  );
  const used = choice.devices.map(({ name }) => name).join(", ") || "the CPU";
  return [
    ...table(rows),
    "",
    `* \`shoal node\` computes on ${used}`,
    ...backends.flatMap(notesOn),
  ];
}

function isUsed(
  choice: Pick<GpuChoice, "backend" | "devices">,
  backend: BackendState["backend"],
  name: string,
): boolean {
  if (backend !== choice.backend) return false;
  return backend === "cpu" || choice.devices.some((each) => each.name === name);
}

function notesOn({
  backend,
  hasCard,
  hasDriver,
  isInstalled,
  problem,
  install,
}: BackendState): string[] {
  const name = NAMES[backend];
  if (install !== null) {
    const there = hasCard ? "a graphics card" : "a driver";
    const driver = hasDriver ? "" : " and its driver";
    return [
      `${name}: ${there} is there, but llama.cpp's package for it${driver} is not: ${install}`,
    ];
  }
  return isInstalled && problem !== null ? [`${name}: ${problem}`] : [];
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
