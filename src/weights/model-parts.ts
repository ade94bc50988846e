/**
 * The two small parts of a model that a gateway needs before it can tokenize: the manifest, proved by its CID, and the metadata part,
 * proved by its root in the manifest. Holders answer GET_PART in pieces; holders that give wrong bytes are skipped.
 */
import { mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MerkleHasher, ShoalError, moveFile } from "../lib/index.ts";
import { decodeManifest, type Manifest, manifestId } from "../model/index.ts";
import { Attached, type Commands } from "../network/index.ts";
import { GET_PART } from "../cluster/index.ts";

const CHUNK_BYTES = 1024 * 1024;
const CHUNK_TIMEOUT_MS = 15_000;
/** Above the largest manifest (about 1 KiB per layer) and the largest published vocabulary. */
const MAX_PART_BYTES = {
  manifest: 16 * 1024 * 1024,
  metadata: 256 * 1024 * 1024,
} as const;
type Part = keyof typeof MAX_PART_BYTES;

/** Who answers GET_PART. */
export interface PartHolder {
  peer: string;
  addresses: readonly string[];
}

export interface ModelParts {
  manifest: Manifest;
  /** A GGUF of all key-values and no weights. */
  metadataPath: string;
}

/** The paths of a model's parts in a folder; `shoal split` writes them there too. */
export const MANIFEST_FILE = "manifest.cbor";
export const METADATA_FILE = "metadata.gguf";

/** Answers GET_PART for one model. */
export function servePartsOf(
  commands: Commands,
  model: { id: string; manifestBytes: Uint8Array; metadataPath: string },
): void {
  const { id, manifestBytes, metadataPath } = model;
  commands.handle(
    GET_PART.name,
    GET_PART.params,
    async ({ manifest, part, offset }) => {
      if (manifest !== id)
        throw new ShoalError("MODEL_UNKNOWN", `this node holds model ${id}`, {
          manifest: id,
        });
      if (part === "manifest") {
        return new Attached(
          { sizeBytes: manifestBytes.length },
          manifestBytes.subarray(offset, offset + CHUNK_BYTES),
        );
      }
      await using file = await open(metadataPath, "r");
      const { size } = await file.stat();
      const chunk = new Uint8Array(
        Math.min(CHUNK_BYTES, Math.max(0, size - offset)),
      );
      const { bytesRead } = await file.read(chunk, 0, chunk.length, offset);
      return new Attached({ sizeBytes: size }, chunk.subarray(0, bytesRead));
    },
  );
}

/** The parts of model `id` from `directory`, or from one of `holders` and then kept there. Throws the last holder's error. */
export async function fetchParts(
  commands: Commands,
  id: string,
  holders: readonly PartHolder[],
  directory: string,
): Promise<ModelParts> {
  const kept = await readKept(id, directory);
  if (kept !== undefined) return kept;
  let last = new ShoalError("SWARM_NOT_READY", "no node holds the model", {
    manifest: id,
  });
  for (const holder of holders) {
    try {
      return await fetchFrom(commands, id, holder, directory);
    } catch (error) {
      last = ShoalError.from(error);
    }
  }
  throw last;
}

async function readKept(
  id: string,
  directory: string,
): Promise<ModelParts | undefined> {
  try {
    const bytes = await readFile(join(directory, MANIFEST_FILE));
    if (manifestId(bytes) !== id) return undefined;
    const manifest = decodeManifest(bytes);
    const metadataPath = join(directory, METADATA_FILE);
    if (!matches(manifest, await readFile(metadataPath))) return undefined;
    return { manifest, metadataPath };
  } catch {
    return undefined; // missing or damaged: downloaded again
  }
}

/** Only the manifest, from the first of `holders` that gives it; nothing is kept. Undefined if none does. */
export async function askManifest(
  commands: Commands,
  id: string,
  holders: readonly PartHolder[],
): Promise<Manifest | undefined> {
  for (const holder of holders) {
    try {
      const bytes = await fetchPart(commands, id, "manifest", holder);
      if (manifestId(bytes) === id) return decodeManifest(bytes);
    } catch {
      // The next may have it.
    }
  }
  return undefined;
}

async function fetchFrom(
  commands: Commands,
  id: string,
  holder: PartHolder,
  directory: string,
): Promise<ModelParts> {
  const manifestBytes = await fetchPart(commands, id, "manifest", holder);
  if (manifestId(manifestBytes) !== id)
    throw new ShoalError(
      "MANIFEST_INVALID",
      `${holder.peer} sent another manifest than ${id}`,
    );
  const manifest = decodeManifest(manifestBytes);
  const metadata = await fetchPart(commands, id, "metadata", holder);
  if (!matches(manifest, metadata))
    throw new ShoalError(
      "MANIFEST_INVALID",
      `${holder.peer} sent metadata that does not match the manifest`,
    );
  await mkdir(directory, { recursive: true });
  const metadataPath = join(directory, METADATA_FILE);
  await keep(metadataPath, metadata);
  await keep(join(directory, MANIFEST_FILE), manifestBytes);
  return { manifest, metadataPath };
}

async function fetchPart(
  commands: Commands,
  id: string,
  part: Part,
  holder: PartHolder,
): Promise<Uint8Array> {
  const target = { peerId: holder.peer, addresses: holder.addresses };
  const chunks: Uint8Array[] = [];
  for (let offset = 0; ;) {
    const params = { manifest: id, part, offset };
    const { result, attachment } = await commands.callAttached(
      target,
      GET_PART.name,
      params,
      GET_PART.result,
      { timeoutMs: CHUNK_TIMEOUT_MS },
    );
    if (result.sizeBytes > MAX_PART_BYTES[part]) {
      throw new ShoalError(
        "MANIFEST_INVALID",
        `${part} of ${result.sizeBytes} bytes exceeds the bound of ${MAX_PART_BYTES[part]}`,
      );
    }
    if (attachment.length === 0 && offset < result.sizeBytes) {
      throw new ShoalError(
        "MANIFEST_INVALID",
        `${holder.peer} sent no bytes of ${part} at ${offset}`,
      );
    }
    chunks.push(attachment);
    offset += attachment.length;
    if (offset >= result.sizeBytes) return Buffer.concat(chunks);
  }
}

function matches(manifest: Manifest, metadata: Uint8Array): boolean {
  const part = manifest.parts.find(({ id }) => id === "metadata");
  if (part === undefined) return false;
  const hasher = new MerkleHasher();
  hasher.update(metadata);
  return Buffer.from(hasher.digest()).equals(Buffer.from(part.root));
}

async function keep(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, bytes);
    await moveFile(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new ShoalError(
      "FILE_UNWRITABLE",
      `cannot write ${path}`,
      { path },
      error,
    );
  }
}
