/**
 * Fetches one file: what is there already is kept, each attempt goes on where the last one ended, and the file gets its name once its
 * checksum is the hub's. Nothing under a good name is ever unverified.
 */
import {
  type EventSink,
  formatBytes,
  reasonOf,
  ShoalError,
} from "../lib/index.ts";
import type { Limits } from "./defaults.ts";
import { PartialFile } from "./partial-file.ts";
import { Progress } from "./progress.ts";
import type { FileProgress, RemoteFile } from "./remote-file.ts";
import { failure, hostOf, invalid, isPassing, type Web } from "./web.ts";

export interface DownloadContext {
  web: Web;
  limits: Limits;
  events: EventSink;
  signal: AbortSignal;
  onProgress?: ((progress: FileProgress) => void) | undefined;
}

/** True if it was fetched, false if another process has done so meanwhile. Throws HUB_CHECKSUM, HUB_CHANGED, and what requests throw. */
export async function download(
  file: RemoteFile,
  context: DownloadContext,
): Promise<boolean> {
  const { events, signal } = context;
  const algorithm = file.digest?.algorithm ?? "sha256";
  const partial = await PartialFile.claim({ ...file, ...context, algorithm });
  if (partial === undefined) return false;
  const progress = new Progress(file, context);
  try {
    let isOurs = partial.doneBytes === 0;
    for (;;) {
      await fetchRest(file, partial, progress, context);
      const found = partial.digest();
      if (file.digest === undefined || found === file.digest.hex) {
        await partial.complete();
        progress.done(found);
        return true;
      }
      if (isOurs) throw await refused(file, partial, found);
      // What an earlier process left may be what is wrong.
      events.warn(
        "HUB",
        `${file.name}: what was kept of it does not have the right checksum; fetching it again`,
      );
      await partial.reset();
      isOurs = true;
    }
  } catch (error) {
    if (signal.aborted && partial.doneBytes > 0)
      events.warn(
        "HUB",
        `stopped: ${formatBytes(partial.doneBytes)} of ${formatBytes(file.sizeBytes)} are kept; the same command goes on from there`,
        { file: file.name },
      );
    throw error;
  } finally {
    progress.stop();
    await partial.release();
  }
}

async function refused(
  { name, digest, url }: RemoteFile,
  partial: PartialFile,
  found: string,
): Promise<ShoalError> {
  await partial.discard();
  return new ShoalError(
    "HUB_CHECKSUM",
    `${name}: the bytes from ${hostOf(url)} have the checksum ${found}, not ${digest?.hex}; they were deleted`,
    { file: name, expected: digest?.hex, found },
  );
}

async function fetchRest(
  file: RemoteFile,
  partial: PartialFile,
  progress: Progress,
  context: DownloadContext,
): Promise<void> {
  const { limits, signal, web } = context;
  let fruitless = 0;
  /** The most bytes that there ever were: a server that always starts again makes no progress. */
  let most = partial.doneBytes;
  while (partial.doneBytes < file.sizeBytes) {
    if (signal.aborted) throw reasonOf(signal);
    if (file.validator === undefined) await partial.reset();
    try {
      await fetchOnce(file, partial, progress, context);
    } catch (error) {
      if (!isPassing(error)) throw error;
      const isFurther = partial.doneBytes >= most + limits.progressBytes;
      most = Math.max(most, partial.doneBytes);
      fruitless = isFurther ? 1 : fruitless + 1;
      if (fruitless >= limits.attempts) throw error;
      await web.pause(error, fruitless - 1, limits.retryAfterMs, {
        what: file.name,
        signal,
      });
    }
  }
}

/** One answer, from where the file ends. */
async function fetchOnce(
  file: RemoteFile,
  partial: PartialFile,
  progress: Progress,
  { web, limits, signal }: DownloadContext,
): Promise<void> {
  const { url, what, validator, sizeBytes } = file;
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const isDated = validator !== undefined && validator !== "always";
  try {
    const response = await web.get(url, {
      what,
      headers: {
        range: `bytes=${partial.doneBytes}-`,
        ...(isDated && { "if-range": validator }),
      },
      signal: either,
      onHead: (headers) => checkLinked(file, headers),
    });
    if (isWhole(response, file, partial.doneBytes)) await partial.reset();
    const stalled = (): void =>
      over.abort(
        new ShoalError(
          "HUB_UNREACHABLE",
          `${hostOf(url)} sent nothing for ${limits.stallMs} ms`,
          { timeoutMs: limits.stallMs },
        ),
      );
    const watch = setTimeout(stalled, limits.stallMs);
    try {
      for await (const chunk of response.body ?? []) {
        const bytes = chunk as Uint8Array;
        watch.refresh();
        if (partial.doneBytes + bytes.length > sizeBytes)
          throw invalid(
            url,
            `it sends more than the file's ${sizeBytes} bytes`,
          );
        await partial.append(bytes);
        progress.at(partial.doneBytes);
      }
    } finally {
      clearTimeout(watch);
    }
    if (partial.doneBytes < sizeBytes)
      throw new ShoalError(
        "HUB_UNREACHABLE",
        `${hostOf(url)} ended after ${formatBytes(partial.doneBytes)} of ${formatBytes(sizeBytes)}`,
      );
  } catch (error) {
    throw failure(error, url, either);
  } finally {
    // The rest of a body is not read.
    over.abort();
  }
}

/** The hub names the checksum again in front of the storage's address. */
function checkLinked({ digest, name }: RemoteFile, headers: Headers): void {
  const linked = headers.get("x-linked-etag")?.replaceAll(/^W\/|"/g, "");
  if (digest === undefined || linked === undefined || linked === digest.hex)
    return;
  throw new ShoalError(
    "HUB_CHANGED",
    `${name}: the hub has other bytes under this name now; run the command again`,
    { file: name },
  );
}

/** Whether the answer is the whole file, not what was asked for. Throws if it is neither. */
function isWhole(
  response: Response,
  file: RemoteFile,
  offset: number,
): boolean {
  const { status, headers } = response;
  const { url, sizeBytes } = file;
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity")
    throw invalid(url, `it sends ${encoding.slice(0, 20)}`);
  const length = headers.get("content-length");
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(
    headers.get("content-range") ?? "",
  );
  const total = status === 200 ? length : range?.[3];
  if (total != null && total !== "*" && Number(total) !== sizeBytes)
    throw new ShoalError(
      "HUB_CHANGED",
      `${file.name}: the file has ${total} bytes on the server now, not ${sizeBytes}; run the command again`,
      { file: file.name },
    );
  const etag = headers.get("etag");
  if (
    file.validator?.startsWith('"') &&
    etag !== null &&
    etag !== file.validator
  )
    throw new ShoalError(
      "HUB_CHANGED",
      `${file.name}: the file changed on the server; run the command again`,
      { file: file.name },
    );
  if (status === 200) return true;
  if (Number(range?.[1]) !== offset || Number(range?.[2]) !== sizeBytes - 1)
    throw invalid(url, "it sends another range than requested");
  return false;
}
