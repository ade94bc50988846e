/**
 * What can be shared from a file: the file itself, and the parts of a model in it. The only file of this folder that reads GGUF.
 *
 *     a manifest      itself
 *     a shard         itself, and each whole part in it, if its manifest is known
 *     an original     itself, and once its parts are hashed its manifest: every part as ranges of the original
 *     other GGUF      itself
 */
import { open, readFile } from "node:fs/promises";
import { basename } from "node:path";
import {
  alignUp,
  DEFAULT_ALIGNMENT,
  type GgufModel,
  openModel,
  stringOf,
  type FileRange,
} from "../gguf/index.ts";
import { ShoalError, readAll } from "../lib/index.ts";
import {
  decodeManifest,
  describeModel,
  type Manifest,
  manifestId,
  MAX_MANIFEST_BYTES,
  partById,
  readShard,
  shardLayout,
  writeMetadata,
} from "../model/index.ts";
import { type FileStamp, stampOf } from "./files.ts";
import type { ContentKind, ContentMetadata } from "./types.ts";

/** A content that a file seems to have; hashing proves it. */
export interface PlannedContent {
  kind: ContentKind;
  name: string;
  manifest?: string;
  ranges: readonly FileRange[];
  /** Its root according to its manifest, 32 bytes. */
  expected?: Uint8Array;
  /** Shared only if a manifest names it. */
  isPartOnly?: boolean;
}

/** An original model: its manifest follows from its parts' roots. */
export interface IndexedModel {
  name: string;
  /** Without the metadata part, which is not a range of the files but written with `writeMetadata`. */
  parts: readonly { id: string; ranges: readonly FileRange[] }[];
  manifestOf: (parts: ReadonlyMap<string, ContentMetadata>) => Manifest;
  writeMetadata: (path: string, signal: AbortSignal) => Promise<unknown>;
}

export interface IndexedFile {
  /** Stamps of all files that were read: while they stay the same, so does this. */
  stamps: readonly FileStamp[];
  contents: readonly PlannedContent[];
  manifest?: { id: string; manifest: Manifest };
  model?: IndexedModel;
  /** A manifest that would say more. */
  waitsFor?: string;
  /** Why it is not shared, or not in parts: for the log. */
  reason?: ShoalError;
  /** The reason is in another file, which is not among the stamps: check again. */
  isProvisional?: boolean;
}

const MANIFEST_KEY = "shoal.manifest";
/** All files but the first of a model in several files. */
const LATER_SPLIT = /-(?!00001-)\d{5}-of-\d{5}\.gguf$/;

/** `stamp`: the file as it was found. Undefined if it is neither a GGUF nor a manifest. */
export async function indexFile(
  stamp: FileStamp,
  manifests: ReadonlyMap<string, Manifest>,
): Promise<IndexedFile | undefined> {
  const { path } = stamp;
  if (path.endsWith(".cbor")) return await indexManifest(stamp);
  if (!(await isGguf(path))) return undefined;
  const itself = wholeFile(stamp);
  if (LATER_SPLIT.test(path)) return { stamps: [stamp], contents: [itself] };
  let model: GgufModel;
  try {
    model = await openModel(path);
  } catch (error) {
    const reason = ShoalError.from(error);
    // Another file of the model is missing or incomplete; this one can be shared anyway.
    const isProvisional =
      reason.code === "GGUF_SPLIT_MISSING" || reason.details.path !== path;
    const contents = isProvisional ? [itself] : [];
    return { stamps: [stamp], contents, reason, isProvisional };
  }
  const id = stringOf(model.metadata, MANIFEST_KEY);
  if (id !== undefined) return await indexShard(stamp, model, id, manifests);
  return await indexOriginal(stamp, model);
}

export function wholeFile(stamp: FileStamp): PlannedContent {
  const { path, sizeBytes } = stamp;
  return {
    kind: "file",
    name: nameOf(basename(path)),
    ranges: [{ path, offset: 0, sizeBytes }],
  };
}

/** "layer.3 of Llama 3". */
export function partName(part: string, model: string): string {
  return nameOf(`${part} of ${model}`);
}

async function indexManifest(
  stamp: FileStamp,
): Promise<IndexedFile | undefined> {
  if (stamp.sizeBytes > MAX_MANIFEST_BYTES) return undefined;
  let manifest: Manifest;
  let id: string;
  try {
    const bytes = await readFile(stamp.path);
    manifest = decodeManifest(bytes);
    id = manifestId(bytes);
  } catch {
    return undefined;
  }
  const name = partName("manifest", manifest.name);
  const itself = { ...wholeFile(stamp), name, manifest: id };
  return { stamps: [stamp], contents: [itself], manifest: { id, manifest } };
}

async function indexShard(
  stamp: FileStamp,
  model: GgufModel,
  id: string,
  manifests: ReadonlyMap<string, Manifest>,
): Promise<IndexedFile> {
  const { path } = stamp;
  const itself = { ...wholeFile(stamp), kind: "shard" as const, manifest: id };
  const whole = { stamps: [stamp], contents: [itself] };
  const manifest = manifests.get(id);
  if (manifest === undefined) return { ...whole, waitsFor: id };
  try {
    const parts = await partsOfShard(stamp, model, manifest);
    const contents = parts.map(({ part, offset }) => {
      const { sizeBytes, root } = partById(manifest, part);
      return {
        kind: "part" as const,
        name: partName(part, manifest.name),
        manifest: id,
        ranges: [{ path, offset, sizeBytes }],
        expected: root,
      };
    });
    return { stamps: [stamp], contents: [itself, ...contents] };
  } catch (error) {
    return { ...whole, reason: ShoalError.from(error) };
  }
}

/** The positions of whole parts in a shard with the manifest's layout. Throws SHARD_FOREIGN for any other. */
async function partsOfShard(
  { path, sizeBytes }: FileStamp,
  model: GgufModel,
  manifest: Manifest,
): Promise<{ part: string; offset: number }[]> {
  const info = await readShard(path);
  const layout =
    info.layerCount === manifest.layerCount
      ? shardLayout(manifest, model.metadata, info)
      : undefined;
  const header = new Uint8Array(layout?.header.length ?? 0);
  await using file = await open(path, "r");
  await readAll(file, header, 0);
  if (
    layout?.sizeBytes !== sizeBytes ||
    Buffer.compare(header, layout.header) !== 0
  ) {
    throw new ShoalError(
      "SHARD_FOREIGN",
      `${basename(path)} does not have the layout of its manifest`,
      { path },
    );
  }
  const found: { part: string; offset: number }[] = [];
  let offset = header.length;
  for (const segment of layout.segments) {
    if ("zeros" in segment) {
      offset += segment.zeros;
      continue;
    }
    const { part, partOffset } = segment;
    // A shard has only the tensors of the metadata part.
    const isWhole =
      partOffset === 0 &&
      segment.sizeBytes === partById(manifest, part).sizeBytes;
    if (isWhole) found.push({ part, offset });
    offset += segment.sizeBytes;
  }
  return found;
}

async function indexOriginal(
  stamp: FileStamp,
  model: GgufModel,
): Promise<IndexedFile> {
  const itself = wholeFile(stamp);
  const found = await Promise.all(model.files.map(({ path }) => stampOf(path)));
  const stamps = found.filter((each) => each !== undefined);
  const contents = [itself];
  try {
    const { recipe, parts, ...description } = describeModel(model);
    const files = model.files.map(({ sizeBytes }) => ({ sizeBytes }));
    const planned: IndexedModel = {
      name: description.name,
      parts: parts
        .filter(({ id }) => id !== "metadata")
        .map(({ id, tensors }) => ({
          id,
          ranges: rangesOf(tensors, model.files),
        })),
      manifestOf: (hashed) => ({
        version: 2,
        ...description,
        architecture: recipe.name,
        files,
        parts: parts.map(({ id, tensors }) => {
          const { sizeBytes, root } = partHash(hashed, id);
          return { id, sizeBytes, root, tensors };
        }),
      }),
      writeMetadata: (path, signal) => writeMetadata(model, path, { signal }),
    };
    return { stamps, contents, model: planned };
  } catch (error) {
    // A vocabulary, a projector, a family that cannot be cut: a file like any other.
    return { stamps, contents, reason: ShoalError.from(error) };
  }
}

function partHash(
  hashed: ReadonlyMap<string, ContentMetadata>,
  id: string,
): { sizeBytes: number; root: Uint8Array } {
  const metadata = hashed.get(id);
  if (metadata === undefined) throw new RangeError(`part ${id} is not hashed`);
  const root = new Uint8Array(Buffer.from(metadata.root, "hex"));
  return { sizeBytes: metadata.sizeBytes, root };
}

/** A part's bytes: its tensors, each padded with zeros. Adjacent bytes become one range. */
function rangesOf(
  tensors: readonly { fileIndex: number; offset: number; sizeBytes: number }[],
  files: readonly { path: string }[],
): FileRange[] {
  // Zeros: see partDataBytes.
  if (tensors.length === 0)
    return [{ path: "", offset: 0, sizeBytes: DEFAULT_ALIGNMENT }];
  const ranges: FileRange[] = [];
  for (const { fileIndex, offset, sizeBytes } of tensors) {
    const path = files[fileIndex]?.path ?? "";
    const last = ranges.at(-1);
    if (last?.path === path && last.offset + last.sizeBytes === offset)
      last.sizeBytes += sizeBytes;
    else ranges.push({ path, offset, sizeBytes });
    const padding = alignUp(sizeBytes, DEFAULT_ALIGNMENT) - sizeBytes;
    if (padding > 0) ranges.push({ path: "", offset: 0, sizeBytes: padding });
  }
  return ranges;
}

async function isGguf(path: string): Promise<boolean> {
  try {
    await using file = await open(path, "r");
    const magic = Buffer.alloc(4);
    await readAll(file, magic, 0);
    return magic.toString("latin1") === "GGUF";
  } catch {
    return false;
  }
}

/** The longest that others accept in a listing. */
function nameOf(name: string): string {
  return name.slice(0, 256).toWellFormed();
}
