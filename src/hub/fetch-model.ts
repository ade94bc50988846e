/** From a reference to files on this disk. */
import { mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  type ByteFile,
  type GgufModel,
  openBytes,
  openModel,
} from "../gguf/index.ts";
import {
  checkDiskSpace,
  type EventSink,
  formatBytes,
  freeDiskBytes,
  isShoalError,
  type Paths,
  reasonOf,
} from "../lib/index.ts";
import { DEFAULTS, type Limits } from "./defaults.ts";
import { download, type DownloadContext } from "./download.ts";
import type { CacheOptions } from "./hub-cache.ts";
import { PartialFile } from "./partial-file.ts";
import { planAddress } from "./plan-address.ts";
import { planHub, type PlanContext } from "./plan-hub.ts";
import { isRemote, parseReference } from "./reference.ts";
import { remoteBytes } from "./remote-header.ts";
import type { FetchPlan, FileProgress, PlannedFile } from "./remote-file.ts";
import { type HubSettings, hubSettings } from "./settings.ts";
import { Web } from "./web.ts";

export interface FetchContext extends CacheOptions {
  events: EventSink;
  paths: Pick<Paths, "data">;
  signal: AbortSignal;
  /** Default: from the environment. */
  settings?: HubSettings | undefined;
  limits?: Partial<Limits> | undefined;
  onProgress?: ((progress: FileProgress) => void) | undefined;
  /** Sees the model's header before the rest is fetched, and throws if it is of no use. */
  check?: ((model: GgufModel) => unknown) | undefined;
}

/** A model that is named, and what is known of it without fetching it. */
export interface FoundModel {
  /** The first file: now, or once it is fetched. */
  path: string;
  files: readonly string[];
  sizeBytes: number;
  /** Nothing needs to be fetched. */
  isHere: boolean;
  /** Opens one of the files, of which the header may come from the server: for `openModel`. */
  open?: (path: string) => Promise<ByteFile>;
}

/** Finds the model without fetching it. Throws USAGE, HUB_NOT_FOUND, HUB_CHOICE, and what requests throw. */
export async function findModel(
  reference: string,
  context: FetchContext,
): Promise<FoundModel> {
  if (!isRemote(reference)) return local(reference);
  const { plan, downloads } = await planOf(reference, context);
  for (const file of plan.files)
    if (file.remote === undefined) await file.place?.(false);
  return {
    ...summary(plan),
    isHere: plan.files.every(({ remote }) => remote === undefined),
    open: opener(plan, downloads),
  };
}

/** The model's files on this disk; those that are not there are fetched, verified and kept. A path is returned as it is. */
export async function fetchModel(
  reference: string,
  context: FetchContext,
): Promise<FoundModel> {
  if (!isRemote(reference)) return local(reference);
  const { plan, downloads } = await planOf(reference, context);
  const { events, signal, check } = context;
  const missing = plan.files.filter(({ remote }) => remote !== undefined);
  if (missing.length === 0) {
    events.info(
      "HUB",
      `${plan.title}: ${namesOf(plan.files)} is on this machine`,
    );
  } else {
    await tellSizes(plan, missing, downloads);
    if (check !== undefined) await checkHeader(plan, downloads, check);
  }
  for (const { remote, place } of plan.files) {
    if (signal.aborted) throw reasonOf(signal);
    const isNew = remote !== undefined && (await download(remote, downloads));
    await place?.(isNew);
  }
  await plan.finish?.();
  return { ...summary(plan), isHere: true };
}

async function planOf(
  reference: string,
  context: FetchContext,
): Promise<{ plan: FetchPlan; downloads: DownloadContext }> {
  const settings = context.settings ?? (await hubSettings());
  const limits = { ...DEFAULTS, ...context.limits };
  const { events, signal, onProgress } = context;
  const web = new Web({ settings, limits, events });
  const downloads = { web, limits, events, signal, onProgress };
  const named = parseReference(reference, settings.endpoint);
  const planning: PlanContext = {
    ...downloads,
    settings,
    ...(context.link && { link: context.link }),
  };
  const folder = join(context.paths.data, "downloads");
  const plan =
    named.kind === "hub"
      ? await planHub(named, planning)
      : await planAddress(named, folder, planning);
  return { plan, downloads };
}

/** Said before anything is fetched. Throws DISK_FULL. */
async function tellSizes(
  plan: FetchPlan,
  missing: readonly PlannedFile[],
  { events, limits }: DownloadContext,
): Promise<void> {
  const folder = dirname(missing[0]?.remote?.target ?? plan.folder);
  await mkdir(folder, { recursive: true });
  let [totalBytes, keptBytes] = [0, 0];
  for (const { remote } of missing) {
    if (remote === undefined) continue;
    totalBytes += remote.sizeBytes;
    keptBytes += await PartialFile.keptBytes({ target: remote.target, limits });
  }
  const freeBytes = await freeDiskBytes(folder);
  const room =
    freeBytes === undefined ? "" : `, where ${formatBytes(freeBytes)} are free`;
  const kept =
    keptBytes === 0 ? "" : `; ${formatBytes(keptBytes)} of it are here already`;
  events.info(
    "HUB",
    `${plan.title}: fetching ${namesOf(missing)}, ${formatBytes(totalBytes)}, into ${plan.folder}${room}${kept}`,
  );
  await checkDiskSpace(folder, totalBytes - Math.min(keptBytes, totalBytes));
}

/** Before gigabytes come: whether they are of use. */
async function checkHeader(
  plan: FetchPlan,
  downloads: DownloadContext,
  check: (model: GgufModel) => unknown,
): Promise<void> {
  const [first] = plan.files;
  if (first === undefined) return;
  let model: GgufModel;
  try {
    const { signal } = downloads;
    model = await openModel(first.path, {
      signal,
      open: opener(plan, downloads),
    });
  } catch (error) {
    // A server without ranges: the whole file will tell.
    if (isShoalError(error, "HUB_INVALID")) return;
    throw error;
  }
  await check(model);
}

function opener(
  plan: FetchPlan,
  downloads: DownloadContext,
): (path: string) => Promise<ByteFile> {
  return async (path) => {
    const file = plan.files.find((planned) => planned.path === path);
    return file?.remote === undefined
      ? await openBytes(path)
      : remoteBytes(file.remote, downloads);
  };
}

function summary({ files }: FetchPlan): Omit<FoundModel, "isHere"> {
  return {
    path: files[0]?.path ?? "",
    files: files.map(({ path }) => path),
    sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
  };
}

/** Its other files, if it has some, are found by whoever reads it. */
function local(path: string): FoundModel {
  return { path, files: [path], sizeBytes: 0, isHere: true };
}

function namesOf(files: readonly PlannedFile[]): string {
  const [first] = files;
  const name = basename(first?.name ?? "");
  return files.length === 1 ? name : `${name} and ${files.length - 1} more`;
}
