/** Fetches one listed content: what `shoal get` does. Joins as a reader, serves nothing when it is done. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { isPlainFileName, ShoalError } from "../lib/index.ts";
import type { CatalogFile } from "../catalog/index.ts";
import { isRoot } from "../store/index.ts";
import type { DownloadProgress } from "../transfer/index.ts";
import { joinCluster, lanOf } from "./join.ts";
import { createGuest, startMember } from "./member.ts";
import type { RoleContext } from "./role.ts";
import { MemberFiles, type TransferFlags } from "../weights/index.ts";

export interface GetFileOptions extends TransferFlags {
  bootstraps: readonly string[];
  cluster: string;
  /** Root, or name where only one content has it. Undefined: nothing is fetched, the list is all. */
  wanted?: string | undefined;
  /** Where to; undefined: its name, here. */
  out?: string | undefined;
  listen: readonly string[];
  bootstrapTimeoutMs: number;
  onProgress?: (progress: DownloadProgress) => void;
}

export interface GetFileResult {
  files: CatalogFile[];
  /** Undefined where nothing was wanted. */
  path: string | undefined;
}

export async function getFile(
  options: GetFileOptions,
  { events, paths, signal }: RoleContext,
): Promise<GetFileResult> {
  await using stack = new AsyncDisposableStack();
  const { cluster, wanted, listen } = options;
  const member = await createGuest({ cluster, listen, events });
  const { host, commands, membership } = member;
  const files = new MemberFiles({
    host,
    ...options,
    commands,
    events,
    directories: [],
    stateDir: paths.state,
  });
  await startMember(stack, member);
  stack.defer(() => files.stop());
  await files.start();
  await joinCluster(stack, {
    ...options,
    host,
    events,
    puncher: member.puncher,
    join: async (peer) => {
      await membership.join(peer);
      await files.syncWith(peer);
    },
    lan: lanOf(membership, { isGuest: true }),
    signal,
  });
  const listed = await files.listFiles();
  if (wanted === undefined) return { files: listed, path: undefined };
  const file = choose(listed, wanted, cluster);
  if (!("sizeBytes" in file))
    events.warn(
      "TORRENT",
      "no rendezvous lists it; searching the DHT and connected peers for 2 minutes",
      { root: file.root },
    );
  const path = await files.fetch({
    root: file.root,
    // Of what nobody lists, the size is told by whoever has it, and proved.
    sizeBytes: "sizeBytes" in file ? file.sizeBytes : undefined,
    path: await pathOf(options.out, file),
    name: file.name,
    kind: file.kind,
    signal,
    ...(options.onProgress && { onProgress: options.onProgress }),
  });
  return { files: listed, path };
}

/** Throws CONTENT_UNKNOWN where nothing or more than one content is meant. */
function choose(
  files: readonly CatalogFile[],
  wanted: string,
  cluster: string,
): Pick<CatalogFile, "root" | "name" | "kind"> | CatalogFile {
  const meant = files.filter((f) => f.root === wanted || f.name === wanted);
  const [file, ...others] = meant;
  // Without a rendezvous nothing is listed, and yet it may be found.
  if (file === undefined && isRoot(wanted))
    return { root: wanted, name: wanted, kind: "file" };
  if (file === undefined) {
    throw new ShoalError(
      "CONTENT_UNKNOWN",
      `no member of cluster ${cluster} shares ${wanted}`,
      { wanted },
    );
  }
  if (others.length > 0) {
    throw new ShoalError(
      "CONTENT_UNKNOWN",
      `${meant.length} files are named ${wanted}: choose one by its root (${meant.map(({ root }) => root).join(", ")})`,
      { wanted, roots: meant.map(({ root }) => root) },
    );
  }
  return file;
}

/** In a folder that is given, under its name. */
async function pathOf(
  out: string | undefined,
  file: Pick<CatalogFile, "root" | "name">,
): Promise<string> {
  if (out === undefined) return resolve(fileNameOf(file));
  const found = await stat(out).catch(() => undefined);
  return found?.isDirectory() === true
    ? resolve(out, fileNameOf(file))
    : resolve(out);
}

/** A name comes from a stranger: only what is a file's name of this folder is taken. */
function fileNameOf({
  name,
  root,
}: Pick<CatalogFile, "root" | "name">): string {
  return isPlainFileName(name) ? name : root;
}
