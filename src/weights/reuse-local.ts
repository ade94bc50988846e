/** A content that need not be downloaded: its file exists from an earlier run, or its bytes are in another local file. */
import { mkdir, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { writeAtomically } from "../gguf/index.ts";
import { type EventSink, ShoalError } from "../lib/index.ts";
import { isWhole } from "../catalog/index.ts";
import { type Content, Hasher, type Root } from "../store/index.ts";

export interface Wanted {
  root: Root;
  path: string;
  name: string;
  signal: AbortSignal;
}

/** A file of an earlier run, which the store may not have found yet. A different file in its place is deleted. */
export async function liesThere(
  { root, path, name, signal }: Wanted,
  events: EventSink,
): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return false;
  if (found.size > 0) {
    await using hasher = new Hasher();
    const range = { path, offset: 0, sizeBytes: found.size };
    if ((await hasher.hash([range], { signal })).root === root) return true;
  }
  events.warn("TORRENT", `${name} is damaged; downloading it again`, {
    root,
    path,
  });
  await rm(path, { force: true });
  return false;
}

/** Whether another file than the wanted one has it, such as another shard. */
export function liesElsewhere(
  held: Content | undefined,
  { path }: Pick<Wanted, "path">,
): held is Content {
  return (
    held !== undefined &&
    isWhole(held) &&
    !held.ranges.some((range) => range.path === path)
  );
}

/** Copies it from there. False if that fails, since it may be gone meanwhile. Throws DISK_FULL, ABORTED. */
export async function copyHere(
  held: Content,
  wanted: Wanted,
  events: EventSink,
): Promise<boolean> {
  const { root, path, name, signal } = wanted;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeAtomically(path, { signal }, async (output) => {
      for (const { path: from, ...range } of held.ranges)
        await output.write(
          from === ""
            ? new Uint8Array(range.sizeBytes)
            : { path: from, ...range },
        );
    });
  } catch (error) {
    signal.throwIfAborted();
    const failure = ShoalError.from(error);
    // No source would help.
    if (failure.code === "DISK_FULL") throw failure;
    return false;
  }
  if (!(await liesThere(wanted, events))) return false;
  // The pieces that were downloaded before it was found.
  for (const suffix of [".part", ".part.state"])
    await rm(`${path}${suffix}`, { force: true });
  const { sizeBytes } = held.metadata;
  events.info("TORRENT", `${name} copied from another local file`, {
    root,
    sizeBytes,
  });
  return true;
}
