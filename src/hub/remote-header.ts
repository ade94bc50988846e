/** A file on a server as `openModel` reads it: only its header comes, by ranges, some MiB of a file of gigabytes. */
import type { ByteFile } from "../gguf/index.ts";
import { deadline, ShoalError } from "../lib/index.ts";
import type { DownloadContext } from "./download.ts";
import type { RemoteFile } from "./remote-file.ts";
import { failure, hostOf, invalid } from "./web.ts";

export function remoteBytes(
  file: RemoteFile,
  context: DownloadContext,
): ByteFile {
  const { sizeBytes, url } = file;
  const { limits, web, signal } = context;
  let kept: { offset: number; bytes: Uint8Array } | undefined;
  const has = (offset: number, size: number): boolean =>
    kept !== undefined &&
    offset >= kept.offset &&
    offset + size <= kept.offset + kept.bytes.length;
  const fetchAt = async (offset: number, size: number): Promise<void> => {
    const want = Math.min(
      Math.max(size, limits.headerReadBytes),
      sizeBytes - offset,
    );
    for (let attempt = 1; ; attempt++) {
      try {
        kept = { offset, bytes: await readRange(file, offset, want, context) };
        return;
      } catch (error) {
        if (attempt === limits.apiAttempts) throw error;
        const { name: what } = file;
        await web.pause(error, attempt - 1, limits.apiRetryAfterMs, {
          what,
          signal,
        });
      }
    }
  };
  return {
    sizeBytes,
    read: async (into, offset) => {
      if (!has(offset, into.length)) await fetchAt(offset, into.length);
      if (kept === undefined || !has(offset, into.length))
        throw invalid(url, "it has less than the file");
      const from = offset - kept.offset;
      into.set(kept.bytes.subarray(from, from + into.length));
    },
    close: () => Promise.resolve(),
  };
}

async function readRange(
  { url, what }: RemoteFile,
  offset: number,
  size: number,
  { web, limits, signal }: DownloadContext,
): Promise<Uint8Array> {
  const limit = deadline(
    limits.headMs + limits.stallMs,
    hostOf(url),
    signal,
    "HUB_UNREACHABLE",
  );
  try {
    const headers = { range: `bytes=${offset}-${offset + size - 1}` };
    const response = await web.get(url, {
      what,
      headers,
      signal: limit.signal,
    });
    if (response.status !== 206) {
      await response.body?.cancel();
      throw new ShoalError(
        "HUB_INVALID",
        `${hostOf(url)}: it ignores ranges, so the header cannot be read without the whole file`,
      );
    }
    const bytes = new Uint8Array(size);
    let done = 0;
    for await (const chunk of response.body ?? []) {
      const part = chunk as Uint8Array;
      if (done + part.length > size)
        throw invalid(url, "it sends more than requested");
      bytes.set(part, done);
      done += part.length;
    }
    if (done < size)
      throw new ShoalError(
        "HUB_UNREACHABLE",
        `${hostOf(url)} ended after ${done} of ${size} bytes`,
      );
    return bytes;
  } catch (error) {
    throw failure(error, url, limit.signal);
  } finally {
    limit.clear();
  }
}
