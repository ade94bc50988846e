/** What has to be fetched for `hf:owner/repo…`: asked of the hub, or of its cache where the hub cannot be asked. */
import { type EventSink, isShoalError, ShoalError } from "../lib/index.ts";
import {
  chooseFiles,
  type ChosenModel,
  type NamedFile,
} from "./choose-files.ts";
import type { Limits } from "./defaults.ts";
import { HubApi, type HubFile, type HubRevision } from "./hub-api.ts";
import { type CacheOptions, HubCache, sizeOf } from "./hub-cache.ts";
import type { HubReference } from "./reference.ts";
import type { FetchPlan, PlannedFile } from "./remote-file.ts";
import type { HubSettings } from "./settings.ts";
import type { Web } from "./web.ts";

export interface PlanContext extends CacheOptions {
  web: Web;
  settings: HubSettings;
  limits: Limits;
  events: EventSink;
  signal: AbortSignal;
}

/** Throws HUB_NOT_FOUND, HUB_CHOICE, HUB_OFFLINE and what requests throw. */
export async function planHub(
  reference: HubReference,
  context: PlanContext,
): Promise<FetchPlan> {
  const { settings, events, web, limits, signal } = context;
  const cache = new HubCache(settings.cacheDir, reference.repo, context);
  const isExact =
    /^[0-9a-f]{40}$/.test(reference.revision) && reference.file !== undefined;
  if (settings.offline || isExact) {
    const plan = await planCached(reference, cache, context);
    if (plan !== undefined) return plan;
    if (settings.offline)
      throw new ShoalError(
        "HUB_OFFLINE",
        `${nameOf(reference)} is not in ${settings.cacheDir}, and HF_HUB_OFFLINE is set`,
        { repo: reference.repo },
      );
  }
  const api = new HubApi(web, settings, limits);
  let found: HubRevision;
  try {
    found = await api.revision(reference, signal);
  } catch (error) {
    if (
      !isShoalError(
        error,
        "HUB_UNREACHABLE",
        "HUB_RATE_LIMITED",
        "HUB_CERTIFICATE",
      )
    )
      throw error;
    const plan = await planCached(reference, cache, context);
    if (plan === undefined) throw error;
    events.warn("HUB", `${error.message}; using what is in the hub's cache`);
    return plan;
  }
  const { commit, files } = found;
  const chosen = chooseFiles(files, reference);
  tellProjectors(chosen, reference, events);
  const plan = (file: HubFile): Promise<PlannedFile> =>
    planFile(file, commit, reference, cache, api);
  return {
    title: `${reference.repo} (commit ${commit.slice(0, 7)})`,
    folder: settings.cacheDir,
    files: await Promise.all(chosen.files.map(plan)),
    finish: () => cache.remember(reference.revision, commit),
  };
}

async function planFile(
  { path, sizeBytes, digest }: HubFile,
  commit: string,
  { repo }: HubReference,
  cache: HubCache,
  api: HubApi,
): Promise<PlannedFile> {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const planned = { name, sizeBytes, path: cache.snapshot(commit, path) };
  if (await cache.hasFile(commit, { path, sizeBytes }))
    return { ...planned, remote: undefined };
  const target = cache.blob(digest.hex);
  const place = (isNew: boolean): Promise<void> =>
    cache.place(digest.hex, commit, path, isNew);
  // Another commit has the same bytes.
  if ((await sizeOf(target)) === sizeBytes)
    return { ...planned, remote: undefined, place };
  const url = api.fileUrl(repo, commit, path);
  const validator = "always"; // the commit is part of the address
  const remote = {
    url,
    what: repo,
    name,
    sizeBytes,
    digest,
    validator,
    target,
  };
  return { ...planned, remote, place };
}

/** Undefined if not all of it is there. */
async function planCached(
  reference: HubReference,
  cache: HubCache,
  { settings, events }: PlanContext,
): Promise<FetchPlan | undefined> {
  const commit = await cache.commitOf(reference.revision);
  if (commit === undefined) return undefined;
  const files = await cache.list(commit);
  let chosen: ChosenModel<NamedFile>;
  try {
    chosen = chooseFiles(files, reference);
  } catch (error) {
    if (isShoalError(error, "HUB_CHOICE")) return undefined;
    throw error;
  }
  tellProjectors(chosen, reference, events);
  return {
    title: `${reference.repo} (commit ${commit.slice(0, 7)})`,
    folder: settings.cacheDir,
    files: chosen.files.map(({ path, sizeBytes }) => ({
      remote: undefined,
      name: path.slice(path.lastIndexOf("/") + 1),
      sizeBytes,
      path: cache.snapshot(commit, path),
    })),
  };
}

function tellProjectors(
  { projectors }: ChosenModel<NamedFile>,
  { repo }: HubReference,
  events: EventSink,
): void {
  if (projectors.length > 0)
    events.info(
      "HUB",
      `${repo} also has a projector for images or sound (${projectors.join(", ")}): it is left out, the model is served as text`,
    );
}

function nameOf({ repo, tag, file }: HubReference): string {
  if (file !== undefined) return `${repo}/${file}`;
  return tag === undefined ? repo : `${repo}:${tag}`;
}
