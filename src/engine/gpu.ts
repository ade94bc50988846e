/**
 * Which device computes: `--gpu auto`, `off`, or a name. Each library for graphics cards is first tried in a process of its own, with a
 * deadline, because a bad driver may kill or hang it.
 */
import { ShoalError } from "../lib/index.ts";
import { listDevices } from "./devices.ts";
import { hasCard, hasDriver, thisSystem } from "./drivers.ts";
import { installCommand } from "./install-command.ts";
import {
  type Backend,
  BACKENDS,
  isInstalled,
  packageFor,
  packageSpec,
} from "./libraries.ts";
import {
  type Device,
  type DeviceList,
  isGpu,
  usedGpus,
} from "./native-devices.ts";
import type { StageEngineOptions } from "./stage-options.ts";

/** What can be asked about a machine; tests answer for another. */
export interface Prober {
  platform: string;
  arch: string;
  hasCard: (backend: Backend) => boolean;
  hasDriver: (backend: Backend) => boolean;
  isInstalled: (backend: Backend) => boolean;
  /** Rejects if the library does not survive. */
  list: (backend: Backend) => Promise<DeviceList>;
}

export interface BackendState {
  backend: Backend;
  hasCard: boolean;
  hasDriver: boolean;
  isInstalled: boolean;
  /** Of llama.cpp; null if the library was not tried or did not survive. */
  version: string | null;
  /** Its GPUs, or the CPU. */
  devices: Device[];
  /** Why there is no device. */
  problem: string | null;
  /** The command that installs the package; null where it is installed, or of no use. */
  install: string | null;
}

export interface GpuChoice {
  backend: Backend;
  /** Undefined: all of the backend's, or the CPU. */
  device?: string;
  /** The GPUs that compute; none where it is the CPU. */
  devices: readonly Device[];
  /** Libraries that are installed but do not work, one line each. */
  problems: readonly string[];
}

export function thisProber(): Prober {
  const system = thisSystem();
  return {
    platform: system.platform,
    arch: system.arch,
    hasCard: (backend) => hasCard(backend, system),
    hasDriver: (backend) => hasDriver(backend, system),
    isInstalled: (backend) => isInstalled(backend),
    list: (backend) => listDevices(backend),
  };
}

export interface MissingPackage {
  backend: Backend;
  /** The command that installs it. */
  install: string;
}

/** Packages of backends that a card here could use, and that are not installed. No library is tried. */
export function missingPackages(
  prober: Prober = thisProber(),
): MissingPackage[] {
  return GPU_BACKENDS.flatMap((backend) => {
    const name = packageOf(backend, prober);
    if (name === undefined || prober.isInstalled(backend)) return [];
    if (!prober.hasCard(backend)) return [];
    const install = installCommand(packageSpec(prober.platform, name));
    return [{ backend, install }];
  });
}

/** For an engine; of nothing that was not asked for, so that it keeps its defaults. */
export function engineOn(
  { backend, device }: Pick<GpuChoice, "backend" | "device">,
  gpuLayers?: number,
): Pick<StageEngineOptions, "backend" | "device" | "gpuLayers"> {
  return {
    backend,
    ...(device !== undefined && { device }),
    ...(gpuLayers !== undefined && { gpuLayers }),
  };
}

/** What `auto` tries, the best first. */
const GPU_BACKENDS = BACKENDS.filter((backend) => backend !== "cpu");

/** Everything there is, each library tried. Backends without a package for this kind of machine are left out. */
export async function surveyDevices(
  prober: Prober = thisProber(),
): Promise<BackendState[]> {
  const states: BackendState[] = [];
  for (const backend of BACKENDS)
    if (packageOf(backend, prober) !== undefined)
      states.push(await tryBackend(backend, prober));
  return states;
}

/**
 * "auto": the best library that is installed and finds a GPU, else the CPU. "off": the CPU. A backend: all of its GPUs. A GPU's name: that
 * one. Throws GPU_UNAVAILABLE with what there is.
 */
export async function chooseGpu(
  wanted = "auto",
  prober: Prober = thisProber(),
): Promise<GpuChoice> {
  const name = wanted.trim().toLowerCase();
  if (name === "off" || name === "cpu")
    return { backend: "cpu", devices: [], problems: [] };
  if (name === "auto") return await chooseBest(prober);
  const states: BackendState[] = [];
  for (const backend of GPU_BACKENDS) {
    if (packageOf(backend, prober) === undefined) continue;
    const isAsked = name === backend;
    if (isBackend(name) && !isAsked) continue;
    const state = await tryBackend(backend, prober);
    states.push(state);
    const { devices } = state;
    if (isAsked && devices.length > 0)
      return { backend, devices: usedGpus(devices), problems: [] };
    const device = devices.find((each) => each.name.toLowerCase() === name);
    if (device !== undefined)
      return { backend, device: device.name, devices: [device], problems: [] };
  }
  throw unavailable(wanted, states, prober);
}

async function chooseBest(prober: Prober): Promise<GpuChoice> {
  const problems: string[] = [];
  for (const backend of GPU_BACKENDS) {
    if (packageOf(backend, prober) === undefined) continue;
    if (!prober.hasDriver(backend) || !prober.isInstalled(backend)) continue;
    const { devices, problem } = await tryBackend(backend, prober);
    if (devices.length > 0)
      return { backend, devices: usedGpus(devices), problems };
    if (problem !== null) problems.push(`${backend}: ${problem}`);
  }
  return { backend: "cpu", devices: [], problems };
}

async function tryBackend(
  backend: Backend,
  prober: Prober,
): Promise<BackendState> {
  const state: BackendState = {
    backend,
    hasCard: prober.hasCard(backend),
    hasDriver: prober.hasDriver(backend),
    isInstalled: prober.isInstalled(backend),
    version: null,
    devices: [],
    problem: null,
    install: null,
  };
  if (!state.isInstalled) {
    const spec = packageSpec(prober.platform, packageOf(backend, prober) ?? "");
    const install = installCommand(spec);
    const isOfUse = state.hasDriver || state.hasCard;
    const problem = `the package ${spec} is not installed`;
    return { ...state, problem, install: isOfUse ? install : null };
  }
  try {
    const { version, devices } = await prober.list(backend);
    const ours =
      backend === "cpu"
        ? devices.filter(({ kind }) => kind === "cpu")
        : devices.filter(isGpu);
    const problem =
      ours.length > 0
        ? null
        : state.hasDriver
          ? "it finds no graphics card"
          : "it finds no graphics card, and no driver for one is installed";
    return { ...state, version, devices: ours, problem };
  } catch (error) {
    return { ...state, problem: ShoalError.from(error).message };
  }
}

function packageOf(
  backend: Backend,
  { platform, arch }: Prober,
): string | undefined {
  return packageFor(platform, arch, backend);
}

function isBackend(name: string): boolean {
  return BACKENDS.some((backend) => backend === name);
}

function unavailable(
  wanted: string,
  states: readonly BackendState[],
  { platform, arch }: Prober,
): ShoalError {
  const found = states.flatMap(({ devices }) =>
    devices.map(({ name, description }) => `${name} (${description})`),
  );
  const there =
    found.length > 0
      ? `there is ${found.join(", ")}`
      : "there is no other than the CPU";
  const reasons = states.flatMap(({ backend, problem, install }) =>
    problem === null
      ? []
      : [
          `${backend}: ${problem}${install === null ? "" : ` (\`${install}\`)`}`,
        ],
  );
  const none = `there is no prebuilt llama.cpp with ${wanted} for ${platform}-${arch}`;
  const why = isBackend(wanted.toLowerCase())
    ? [states.length === 0 ? none : `no graphics card by ${wanted}`]
    : [`no graphics card is named ${wanted}: ${there}`];
  return new ShoalError("GPU_UNAVAILABLE", [...why, ...reasons].join("; "), {
    wanted,
    found: found.length,
  });
}
