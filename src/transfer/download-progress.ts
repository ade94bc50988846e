/** What a running download tells, and whether its sources can still complete it. Pure. */
import { exceeds, type PieceSet } from "../store/index.ts";
import type { SourceState } from "./download-links.ts";
import type { DownloadOptions, DownloadProgress } from "./download-options.ts";

export function progressOf(
  { root, name }: DownloadOptions,
  state: {
    sizeBytes: number | undefined;
    doneBytes: number;
    bytesPerSecond: number;
    sources: readonly SourceState[];
  },
): DownloadProgress {
  const { sizeBytes, doneBytes, bytesPerSecond, sources } = state;
  const left = (sizeBytes ?? 0) - doneBytes;
  return {
    root,
    name,
    sizeBytes,
    doneBytes,
    bytesPerSecond: Math.round(bytesPerSecond),
    sources: sources.filter(({ link }) => link?.have?.count).length,
    etaMs:
      sizeBytes === undefined || bytesPerSecond < 1
        ? undefined
        : Math.round((left / bytesPerSecond) * 1000),
  };
}

/** Whether any of the sources has a piece that is not in `have`; before anything is known, any piece. */
export function haveMissing(
  sources: readonly SourceState[],
  have: PieceSet | undefined,
): boolean {
  if (have === undefined) return sources.some(({ link }) => link?.have?.count);
  return sources.some(({ link }) => {
    const bits = link?.have?.bits;
    return bits !== undefined && exceeds(bits, have.bits);
  });
}
