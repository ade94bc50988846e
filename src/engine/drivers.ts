/**
 * Which graphics cards and drivers this system has, by their files alone: opening a bad driver may end a process, so that is left to the
 * engine's.
 */
import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { Backend } from "./libraries.ts";

/** The files of a machine; tests give those of another. */
export interface System {
  platform: string;
  arch: string;
  environment: Readonly<Record<string, string | undefined>>;
  exists: (path: string) => boolean;
  /** Names in a folder; none if there is no such folder. */
  list: (folder: string) => readonly string[];
}

export function thisSystem(): System {
  const { platform, arch, env } = process;
  return { platform, arch, environment: env, exists: existsSync, list };
}

function list(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Where Linux systems keep libraries: Debian's kinds, Red Hat's, containers with NVIDIA's toolkit, WSL, NixOS. */
const LINUX_FOLDERS = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/lib",
  "/usr/local/nvidia/lib64",
  "/usr/lib/wsl/lib",
  "/run/opengl-driver/lib",
];

/** The driver's own part, not the toolkit: what a package does not bring along. */
const LIBRARIES: Readonly<
  Record<string, Partial<Record<Backend, readonly string[]>>>
> = {
  linux: {
    cuda: ["libcuda.so.1", "libnvidia-ml.so.1"],
    vulkan: ["libvulkan.so.1"],
  },
  win32: { cuda: ["nvcuda.dll", "nvml.dll"], vulkan: ["vulkan-1.dll"] },
};

export function hasDriver(backend: Backend, system: System): boolean {
  const { platform, arch, environment, exists } = system;
  if (backend === "cpu") return true;
  if (backend === "metal") return platform === "darwin" && arch === "arm64";
  const names = LIBRARIES[platform]?.[backend] ?? [];
  const folders =
    platform === "win32"
      ? [join(environment.SystemRoot ?? "C:\\Windows", "System32")]
      : [
          ...(environment.LD_LIBRARY_PATH ?? "").split(delimiter),
          ...LINUX_FOLDERS,
        ];
  return folders.some(
    (folder) =>
      folder !== "" && names.some((name) => exists(join(folder, name))),
  );
}

/** By the kernel's devices on Linux. Elsewhere a driver is there with its card only. */
export function hasCard(backend: Backend, system: System): boolean {
  const { platform, exists, list } = system;
  if (platform !== "linux") return hasDriver(backend, system);
  const isNvidia = exists("/dev/nvidiactl");
  if (backend === "cuda") return isNvidia;
  return (
    backend === "vulkan" &&
    (isNvidia ||
      exists("/dev/dxg") || // WSL's
      list("/dev/dri").some((name) => name.startsWith("renderD")))
  );
}
