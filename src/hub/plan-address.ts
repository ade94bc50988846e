/**
 * What has to be fetched for an `https:` address. One byte of each file is asked for, which tells its size and version. A model in several
 * files is known by its name, as llama.cpp knows it. The files go to a folder of this version:
 *
 *     DATA/downloads/NAME-ADDRESS/VERSION/model.gguf
 */
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isShoalError, ShoalError } from "../lib/index.ts";
import { sizeOf } from "./hub-cache.ts";
import type { PlanContext } from "./plan-hub.ts";
import { type AddressReference, lastSegment } from "./reference.ts";
import type { FetchPlan, RemoteFile } from "./remote-file.ts";
import { hostOf, invalid } from "./web.ts";

/** As src/gguf has it: files of one model. */
const MAX_FILES = 1024;
const SPLIT = /-(\d{5})-of-(\d{5})\.gguf$/;

export async function planAddress(
  reference: AddressReference,
  downloads: string,
  context: PlanContext,
): Promise<FetchPlan> {
  const { settings, events } = context;
  const urls = allFiles(reference);
  const folder = join(downloads, keyOf(urls[0] ?? reference.url));
  const title = hostOf(reference.url);
  try {
    if (settings.offline)
      throw new ShoalError(
        "HUB_OFFLINE",
        `${title}: HF_HUB_OFFLINE is set, and the file is not on this machine`,
      );
    const found: Found[] = [];
    for (const url of urls) found.push(await probe(url, context));
    return await planFiles(reference, found, folder, title);
  } catch (error) {
    if (
      !isShoalError(
        error,
        "HUB_UNREACHABLE",
        "HUB_RATE_LIMITED",
        "HUB_CERTIFICATE",
        "HUB_OFFLINE",
      )
    )
      throw error;
    const kept = await planKept(urls, folder, title);
    if (kept === undefined) throw error;
    if (!settings.offline)
      events.warn("HUB", `${error.message}; using what was fetched earlier`);
    return kept;
  }
}

interface Found {
  url: string;
  sizeBytes: number;
  validator: string | undefined;
}

async function planFiles(
  { sha256 }: AddressReference,
  found: readonly Found[],
  folder: string,
  title: string,
): Promise<FetchPlan> {
  const version = createHash("sha256");
  for (const { validator, sizeBytes } of found)
    version.update(`${validator ?? ""} ${sizeBytes}\n`);
  version.update(sha256 ?? "");
  const inside = join(folder, version.digest("hex").slice(0, 16));
  const files = found.map(async ({ url, sizeBytes, validator }) => {
    const name = lastSegment(new URL(url));
    const path = join(inside, name);
    const digest =
      sha256 === undefined
        ? undefined
        : ({ algorithm: "sha256", hex: sha256 } as const);
    const remote: RemoteFile = {
      url,
      what: `${name} on ${title}`,
      name,
      sizeBytes,
      digest,
      validator,
      target: path,
    };
    // Without a version nobody knows whether it is still the same.
    const isHere =
      (validator !== undefined || digest !== undefined) &&
      (await sizeOf(path)) === sizeBytes;
    return { remote: isHere ? undefined : remote, name, sizeBytes, path };
  });
  return { title, folder: inside, files: await Promise.all(files) };
}

/** The newest version of which all files are here. */
async function planKept(
  urls: readonly string[],
  folder: string,
  title: string,
): Promise<FetchPlan | undefined> {
  const names = urls.map((url) => lastSegment(new URL(url)));
  const versions = await readdir(folder).catch(() => []);
  let newest: (FetchPlan & { timeMs: number }) | undefined;
  for (const version of versions) {
    const inside = join(folder, version);
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(inside, name);
        return { remote: undefined, name, path, sizeBytes: await sizeOf(path) };
      }),
    );
    const whole = files.flatMap((file) =>
      file.sizeBytes === undefined
        ? []
        : [{ ...file, sizeBytes: file.sizeBytes }],
    );
    const { mtimeMs: timeMs } = await stat(inside);
    if (whole.length === names.length && timeMs > (newest?.timeMs ?? 0))
      newest = { title, folder: inside, files: whole, timeMs };
  }
  return newest;
}

async function probe(url: string, context: PlanContext): Promise<Found> {
  const { web, limits, signal } = context;
  const what = `${lastSegment(new URL(url))} on ${hostOf(url)}`;
  for (let attempt = 1; ; attempt++) {
    try {
      const headers = { range: "bytes=0-0" };
      const response = await web.get(url, { what, headers, signal });
      await response.body?.cancel();
      const sizeBytes = sizeIn(response, url, limits.fileBytes);
      return { url, sizeBytes, validator: validatorIn(response.headers) };
    } catch (error) {
      if (attempt === limits.apiAttempts) throw error;
      await web.pause(error, attempt - 1, limits.apiRetryAfterMs, {
        what,
        signal,
      });
    }
  }
}

function sizeIn(
  { status, headers }: Response,
  url: string,
  maxBytes: number,
): number {
  const range = /^bytes 0-0\/(\d+)$/.exec(headers.get("content-range") ?? "");
  const told = status === 206 ? range?.[1] : headers.get("content-length");
  const sizeBytes = Number(told ?? Number.NaN);
  if (!(sizeBytes > 0 && sizeBytes <= maxBytes))
    throw invalid(url, "it does not say how large the file is");
  return sizeBytes;
}

/** RFC 9110, section 13.1.5: a weak ETag is of no use in If-Range. */
function validatorIn(headers: Headers): string | undefined {
  const etag = headers.get("etag");
  if (etag?.startsWith('"') === true && etag.length <= 256) return etag;
  const date = headers.get("last-modified");
  return date !== null && !Number.isNaN(Date.parse(date)) ? date : undefined;
}

function allFiles({ url, sha256 }: AddressReference): string[] {
  const address = new URL(url);
  const [, , of = "1"] = SPLIT.exec(address.pathname) ?? [];
  const count = Number(of);
  if (count <= 1) return [url];
  if (count > MAX_FILES || sha256 !== undefined)
    throw new ShoalError(
      "USAGE",
      count > MAX_FILES
        ? `a model of more than ${MAX_FILES} files`
        : "one #sha256= cannot be that of several files",
    );
  return Array.from({ length: count }, (_, i) => {
    const number = String(i + 1).padStart(5, "0");
    const file = new URL(address);
    file.pathname = address.pathname.replace(SPLIT, `-${number}-of-$2.gguf`);
    return file.href;
  });
}

/** Without the query: a signed link has another one each time. */
function keyOf(url: string): string {
  const { origin, pathname } = new URL(url);
  const hash = createHash("sha256").update(`${origin}${pathname}`);
  return hash.digest("hex").slice(0, 16);
}
