/** What the loaded library can compute on, and which of it a stage uses. */
import { ShoalError } from "../lib/index.ts";
import type { Backend } from "./libraries.ts";
import type { Native, NativeDevice } from "./native-types.ts";

/** Where a stage computes. */
export interface DeviceOptions {
  /** Whose library is loaded; "cpu" where none is named. */
  backend?: Backend;
  /** One of the library's GPUs by name; all of them where none is named. */
  device?: string;
}

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

/** All, where none is named; an integrated one only if there is no other. */
export function usedGpus(devices: readonly Device[]): Device[] {
  return withoutIntegrated(devices, ({ kind }) => kind);
}

function withoutIntegrated<D>(
  devices: readonly D[],
  kindOf: (device: D) => DeviceKind,
): D[] {
  const cards = devices.filter((each) => kindOf(each) === "gpu");
  if (cards.length > 0) return cards;
  return devices.filter((each) => kindOf(each) === "integrated").slice(0, 1);
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

/** The GPUs that a stage computes on; none where it is the CPU. Throws GPU_UNAVAILABLE. */
export function gpusFor(
  native: Pick<Native, "devices">,
  { backend = "cpu", device }: DeviceOptions,
): NativeDevice[] {
  if (backend === "cpu") return []; // a Mac's library for the CPU has its GPU, too
  const gpus = native.devices().filter((each) => isGpu({ kind: kindOf(each) }));
  if (gpus.length === 0)
    throw new ShoalError(
      "GPU_UNAVAILABLE",
      `llama.cpp with ${backend} finds no graphics card`,
      { backend },
    );
  if (device === undefined) return withoutIntegrated(gpus, kindOf);
  const found = gpus.filter(({ name }) => name === device);
  if (found.length > 0) return found;
  throw new ShoalError(
    "GPU_UNAVAILABLE",
    `no graphics card is named ${device}; there is ${gpus.map(({ name }) => name).join(", ")}`,
    { backend, device },
  );
}

/** For llama_model_params. */
export function pointersOf(
  devices: readonly Pick<NativeDevice, "pointer">[],
): BigUint64Array {
  return BigUint64Array.of(...devices.map(({ pointer }) => pointer), 0n);
}

/** A name in the status: "CPU AVX512+VNNI", "Vulkan0 NVIDIA GeForce RTX 4090". `systemInfo` is the library's. */
export function deviceNames(
  gpus: readonly Pick<Device, "name" | "description">[],
  systemInfo: string,
): string {
  return (
    gpus.map(({ name, description }) => `${name} ${description}`).join(", ") ||
    cpuKind(systemInfo)
  );
}

/** Instruction sets that choose kernels: of each line one, the first that is there; of the last all. */
const WIDEST = ["AVX512", "AVX2", "AVX", "SVE", "NEON"];
const FURTHER = [
  "AVX512_VBMI",
  "AVX512_VNNI",
  "AVX512_BF16",
  "AVX_VNNI",
  "AMX_INT8",
  "DOTPROD",
  "MATMUL_INT8",
  "FP16_VA",
  "SME",
];

/** Processors of one kind take the same kernels, and so compute the same bits. */
function cpuKind(systemInfo: string): string {
  const has = new Set(
    [...systemInfo.matchAll(/(\w+) = 1/g)].map(([, name = ""]) => name),
  );
  const widest = WIDEST.find((name) => has.has(name));
  const further = FURTHER.filter((name) => has.has(name)).map((name) =>
    name.replace("AVX512_", ""),
  );
  return widest === undefined ? "CPU" : `CPU ${[widest, ...further].join("+")}`;
}

function kindOf({ type }: Pick<NativeDevice, "type">): DeviceKind {
  return KINDS[type] ?? "accelerator";
}
