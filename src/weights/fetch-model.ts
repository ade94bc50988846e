/**
 * The two small parts of a model that are needed first: its manifest, proved by its CID, and the metadata, proved by the manifest. Members
 * that hold the model answer for them, and so do neighbours, because a seeder announces no shard; otherwise they are contents like any other
 * and come from peers that list them.
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Membership } from "../cluster/index.ts";
import {
  fetchParts,
  MANIFEST_FILE,
  METADATA_FILE,
  type ModelParts,
} from "./model-parts.ts";
import { ShoalError } from "../lib/index.ts";
import { decodeManifest, type Manifest, manifestId } from "../model/index.ts";
import type { Commands } from "../network/index.ts";
import type { CatalogFile } from "../catalog/index.ts";
import { toRoot } from "../store/index.ts";
import type { SharedFiles } from "./shared-files.ts";

export interface FetchModelOptions {
  commands: Commands;
  membership: Pick<Membership, "announcements" | "neighbours">;
  files: Pick<SharedFiles, "fetch" | "listFiles">;
  /** CID of the manifest. */
  id: string;
  /** The folder where both are kept. */
  directory: string;
  signal: AbortSignal;
}

/** Neighbours asked for both: a seeder is one, and holds the model without a shard. */
const NEIGHBOURS_ASKED = 16;
/** As in model-parts.ts. */
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;
/** Listings may lie: this many of them are tried. */
const LISTINGS_TRIED = 8;
/** Listed by somebody, but nobody delivers: another listing may be better. */
const UNAVAILABLE_MS = 10_000;

export async function fetchModel(
  options: FetchModelOptions,
): Promise<ModelParts> {
  const { commands, membership, id, directory } = options;
  try {
    const neighbours = membership
      .neighbours()
      .slice(0, NEIGHBOURS_ASKED)
      .map((peer) => ({ peer, addresses: [] }));
    const holders = [...membership.announcements(), ...neighbours];
    return await fetchParts(commands, id, holders, directory);
  } catch {
    await fetchListed(options);
    return await fetchParts(commands, id, [], directory);
  }
}

async function fetchListed(options: FetchModelOptions): Promise<void> {
  const { files, id, directory, signal } = options;
  const listed = (await files.listFiles()).filter((file) =>
    mayBeManifest(file, id),
  );
  await mkdir(directory, { recursive: true });
  let last = new ShoalError("SWARM_NOT_READY", "no member lists the model", {
    manifest: id,
  });
  for (const { root, sizeBytes, name } of listed.slice(0, LISTINGS_TRIED)) {
    const path = join(directory, MANIFEST_FILE);
    const common = { signal, manifest: id, unavailableMs: UNAVAILABLE_MS };
    try {
      await rm(path, { force: true });
      await files.fetch({
        ...common,
        root,
        sizeBytes,
        path,
        name,
        kind: "file",
      });
      const manifest = await readManifest(path, id);
      const part = manifest.parts.find((each) => each.id === "metadata");
      if (part === undefined) continue;
      const metadataPath = join(directory, METADATA_FILE);
      await rm(metadataPath, { force: true });
      await files.fetch({
        ...common,
        root: toRoot(part.root),
        sizeBytes: part.sizeBytes,
        path: metadataPath,
        name: `metadata of ${manifest.name}`,
        kind: "part",
      });
      return;
    } catch (error) {
      last = ShoalError.from(error);
    }
  }
  throw last;
}

function mayBeManifest(file: CatalogFile, id: string): boolean {
  const { kind, name, manifest, sizeBytes } = file;
  return (
    manifest === id &&
    kind === "file" &&
    name.startsWith("manifest") &&
    sizeBytes <= MAX_MANIFEST_BYTES
  );
}

async function readManifest(path: string, id: string): Promise<Manifest> {
  const bytes = await readFile(path);
  if (manifestId(bytes) === id) return decodeManifest(bytes);
  await rm(path, { force: true });
  throw new ShoalError("MANIFEST_INVALID", "a member lists another manifest", {
    manifest: id,
  });
}
