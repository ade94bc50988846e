/** What the loaded library can compute on, and which of it a stage uses. */
import { ShoalError } from "../lib/index.ts";
import type { Native } from "./native-types.ts";
import type { StageOptions } from "./stage.ts";

export type DeviceKind = "cpu" | "gpu" | "integrated" | "accelerator";

export interface Device {
  /** "Vulkan0" */
  name: string;
  /** "NVIDIA GeForce RTX 4090" */
  description: string;
  kind: DeviceKind;
  freeBytes: number;
  totalBytes: number;
}

export interface DeviceList {
  /** Of llama.cpp: "0.5.0". */
  version: string;
  devices: Device[];
}

/** In the order of `enum ggml_backend_dev_type` (ggml/include/ggml-backend.h at v0.5.0). */
const KINDS: readonly DeviceKind[] = [
  "cpu",
  "gpu",
  "integrated",
  "accelerator",
];

export function isGpu(device: { kind: DeviceKind }): boolean {
  return device.kind === "gpu" || device.kind === "integrated";
}

export function describeDevices(
  native: Pick<Native, "version" | "devices">,
): DeviceList {
  const devices = native
    .devices()
    .map(({ name, description, type, freeBytes, totalBytes }): Device => ({
      name,
      description,
      kind: KINDS[type] ?? "accelerator",
      freeBytes,
      totalBytes,
    }));
  return { version: native.version, devices };
}

/** For llama_model_params. The CPU's library has no GPU, but that of a Mac, which is the same for both. Throws GPU_UNAVAILABLE. */
export function devicesFor(
  native: Pick<Native, "devices">,
  { backend = "cpu", device }: Pick<StageOptions, "backend" | "device">,
): BigUint64Array | null {
  if (backend === "cpu") return BigUint64Array.of(0n);
  const all = native.devices();
  const gpus = all.filter(({ type }) => isGpu({ kind: KINDS[type] ?? "cpu" }));
  if (gpus.length === 0)
    throw new ShoalError(
      "GPU_UNAVAILABLE",
      `llama.cpp with ${backend} finds no graphics card`,
      { backend },
    );
  if (device === undefined) return null;
  const found = gpus.find(({ name }) => name === device);
  if (found === undefined)
    throw new ShoalError(
      "GPU_UNAVAILABLE",
      `no graphics card is named ${device}; there is ${gpus.map(({ name }) => name).join(", ")}`,
      { backend, device },
    );
  return BigUint64Array.of(found.pointer, 0n);
}
