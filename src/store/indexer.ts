/** From files to contents: finds what changed, hashes it, and enters it into the table. */
import { dirname } from "node:path";
import {
  type EventSink,
  formatBytes,
  reasonOf,
  ShoalError,
} from "../lib/index.ts";
import { encodeManifest, type Manifest, manifestId } from "../model/index.ts";
import type { ContentTable } from "./content-table.ts";
import { toRoot } from "./piece-tree.ts";
import type { DerivedFiles } from "./derived-files.ts";
import type { DownloadFiles, FinishedDownload } from "./download-files.ts";
import { type FileStamp, isSameFile, stampOf } from "./files.ts";
import type { Hashed, Hashing } from "./hashing.ts";
import {
  type IndexedFile,
  indexFile,
  partName,
  type PlannedContent,
  type IndexedModel,
  wholeFile,
} from "./file-contents.ts";
import type { FileRange } from "../gguf/index.ts";
import type { ContentMetadata, Root } from "./types.ts";

export interface StoreIndexerOptions {
  table: ContentTable;
  downloads: DownloadFiles;
  hashing: Hashing;
  derived: DerivedFiles;
  events: EventSink;
  signal: AbortSignal;
  onContent: () => void;
  /** A file changed while it was read: check it again. */
  onUnsettled: () => void;
}

interface KnownManifest {
  manifest: Manifest;
  root?: Root;
}

export class StoreIndexer {
  #options: StoreIndexerOptions;
  /** By path, of those that have not changed since. */
  #files = new Map<string, IndexedFile | { stamps: readonly FileStamp[] }>();
  #manifests = new Map<string, KnownManifest>();
  /** What manifests say about roots. */
  #parts = new Map<Root, { name: string; manifest: string }>();
  /** Of those parts. */
  #partSizes = new Set<number>();

  constructor(options: StoreIndexerOptions) {
    this.#options = options;
  }

  get manifests(): ReadonlyMap<string, KnownManifest> {
    return this.#manifests;
  }

  /** `files`: all files at rest. True if a content was added. */
  async index(
    files: ReadonlyMap<string, FileStamp>,
    isFirst: (path: string) => boolean,
  ): Promise<boolean> {
    for (const path of this.#files.keys())
      if (!files.has(path)) this.#files.delete(path);
    // Manifests before the shards they describe, this node's own files before the rest.
    const rank = (path: string): number =>
      path.endsWith(".cbor") ? 0 : isFirst(path) ? 1 : 2;
    const order = [...files.values()].toSorted(
      (a, b) => rank(a.path) - rank(b.path),
    );
    let isMore = false;
    for (const stamp of order) {
      if (this.#options.signal.aborted) throw reasonOf(this.#options.signal);
      try {
        isMore = (await this.#indexOne(stamp)) || isMore;
      } catch (error) {
        await this.#fail(stamp, ShoalError.from(error));
      }
    }
    await this.#retainDerived();
    return isMore;
  }

  /** A model's manifest and metadata part go with it. */
  async #retainDerived(): Promise<void> {
    const { derived, table, onContent } = this.#options;
    const models = [...this.#files.values()].map(({ stamps }) => stamps);
    const removed = await derived.retain(models);
    const lost = table.retain(
      ({ stamps }) =>
        ![...stamps.keys()].some((path) => removed.has(dirname(path))),
    );
    if (lost.length > 0) onContent();
  }

  /** A download that just finished: its bytes were verified and need not be hashed. */
  async takeDownload(
    metadata: ContentMetadata,
    description: Omit<FinishedDownload, "root">,
  ): Promise<void> {
    const { hashing, downloads, table, onContent, onUnsettled } = this.#options;
    const { path, name, kind, manifest } = description;
    const stamp = await stampOf(path);
    if (stamp?.sizeBytes !== metadata.sizeBytes) {
      throw new ShoalError(
        "CONTENT_CHANGED",
        `${path} changed as soon as it was complete`,
        { path },
      );
    }
    const { ranges } = wholeFile(stamp);
    const stamps = new Map([[path, stamp]]);
    hashing.know(ranges, stamps, metadata);
    table.add(metadata, { kind, name, manifest, ranges, stamps });
    await downloads
      .finish({ root: metadata.root, ...description })
      .catch((error: unknown) => this.#fail(stamp, ShoalError.from(error)));
    onContent();
    // It may be a GGUF with parts in it, or a manifest.
    onUnsettled();
  }

  async #indexOne(stamp: FileStamp): Promise<boolean> {
    const { path } = stamp;
    const indexed = await this.#indexed(stamp);
    if (indexed === undefined) {
      const isDownload = this.#options.downloads.finished.has(path);
      // It has a part's size, so it may be one, such as a download that ended just before its process was killed.
      const mayBePart = this.#partSizes.has(stamp.sizeBytes);
      if (!isDownload && !mayBePart) return false;
      return await this.#place({
        ...wholeFile(stamp),
        isPartOnly: !isDownload,
      });
    }
    const { manifest, model, contents } = indexed;
    if (manifest !== undefined) this.#know(manifest.id, manifest.manifest);
    const id = model && (await this.#placeModelOf(indexed, model));
    let isMore = id !== undefined;
    for (const content of contents) {
      const planned = id === undefined ? content : { manifest: id, ...content };
      isMore = (await this.#place(planned)) || isMore;
    }
    return isMore;
  }

  /** If that fails, the model's files are shared anyway, and it is tried again at the next check. */
  async #placeModelOf(
    indexed: IndexedFile,
    model: IndexedModel,
  ): Promise<string | undefined> {
    try {
      const id = await this.#placeModel(model, indexed.stamps);
      // It holds the model's vocabulary, which is not needed any more.
      delete indexed.model;
      return id;
    } catch (error) {
      const [stamp] = indexed.stamps;
      if (stamp !== undefined) await this.#fail(stamp, ShoalError.from(error));
      return undefined;
    }
  }

  /** From memory if nothing changed. */
  async #indexed(stamp: FileStamp): Promise<IndexedFile | undefined> {
    const known = this.#files.get(stamp.path);
    if (known !== undefined && (await this.#isCurrent(known, stamp)))
      return "contents" in known ? known : undefined;
    const manifests = new Map(
      [...this.#manifests].map(([id, { manifest }]) => [id, manifest]),
    );
    const indexed = await indexFile(stamp, manifests);
    this.#files.set(stamp.path, indexed ?? { stamps: [stamp] });
    const before =
      known !== undefined && "contents" in known ? known.reason : undefined;
    const reason = indexed?.reason;
    // Reported once, however often it is checked.
    if (reason !== undefined && reason.message !== before?.message)
      await this.#fail(stamp, reason);
    return indexed;
  }

  async #isCurrent(
    known: IndexedFile | { stamps: readonly FileStamp[] },
    stamp: FileStamp,
  ): Promise<boolean> {
    if ("contents" in known) {
      if (known.isProvisional === true) return false;
      if (this.#manifests.has(known.waitsFor ?? "")) return false;
    }
    for (const before of known.stamps) {
      const now =
        before.path === stamp.path ? stamp : await stampOf(before.path);
      if (!isSameFile(before, now)) return false;
    }
    return true;
  }

  /** The parts of an original, its metadata part and its manifest. Returns the manifest's CID. */
  async #placeModel(
    model: IndexedModel,
    stamps: readonly FileStamp[],
  ): Promise<string> {
    const { hashing, derived, table, events, signal } = this.#options;
    const metadataPath = await derived.metadata(stamps, (path) =>
      model.writeMetadata(path, signal),
    );
    const hashed = new Map<string, Hashed & { ranges: readonly FileRange[] }>();
    const hash = async (
      id: string,
      ranges: readonly FileRange[],
    ): Promise<void> => {
      const name = partName(id, model.name);
      hashed.set(id, { ...(await hashing.hash(name, ranges)), ranges });
    };
    await hash("metadata", await wholeRange(metadataPath));
    for (const { id, ranges } of model.parts) await hash(id, ranges);
    const manifest = model.manifestOf(
      new Map([...hashed].map(([id, { metadata }]) => [id, metadata])),
    );
    const bytes = encodeManifest(manifest);
    const id = manifestId(bytes);
    this.#warnOfOther(id, manifest, stamps);
    this.#know(id, manifest);
    for (const [part, { metadata, stamps: of, ranges }] of hashed) {
      const name = partName(part, manifest.name);
      table.add(metadata, {
        kind: "part",
        name,
        manifest: id,
        ranges,
        stamps: of,
      });
      events.debug("TORRENT", "sharing a part", { name, root: metadata.root });
    }
    this.#options.onContent();
    const path = await derived.manifest(stamps, bytes);
    await this.#place({
      kind: "file",
      name: partName("manifest", manifest.name),
      manifest: id,
      ranges: await wholeRange(path),
    });
    return id;
  }

  /** Hashes a content and enters it. True if it is new. */
  async #place(planned: PlannedContent): Promise<boolean> {
    const { hashing, table, events, onContent } = this.#options;
    const { ranges, expected } = planned;
    if (table.hasPlace(ranges)) return false;
    const { metadata, stamps } = await hashing.hash(planned.name, ranges);
    const { root, sizeBytes } = metadata;
    if (expected !== undefined && toRoot(expected) !== root) {
      events.warn("TORRENT", "does not match its manifest; not sharing it", {
        name: planned.name,
        path: ranges[0]?.path,
      });
      return false;
    }
    const described = await this.#describe(planned, root);
    if (described === undefined) return false;
    const { kind, name, manifest } = described;
    table.add(metadata, { kind, name, manifest, ranges, stamps });
    const known = this.#manifests.get(manifest ?? "");
    if (kind === "file" && known !== undefined && isManifest(planned))
      known.root = root;
    events[kind === "part" ? "debug" : "info"]("TORRENT", "sharing a content", {
      kind,
      name,
      root,
      size: formatBytes(sizeBytes),
      primary: table.get(root)?.primary ?? false,
    });
    onContent();
    return true;
  }

  /** What is known about a root apart from its file's name. Undefined for a download that changed since. */
  async #describe(
    planned: PlannedContent,
    root: Root,
  ): Promise<PlannedContent | undefined> {
    const { downloads } = this.#options;
    const part = this.#parts.get(root);
    if (part !== undefined) return { ...planned, kind: "part", ...part };
    const [{ path, offset } = { path: "", offset: 0 }] = planned.ranges;
    const download = downloads.finished.get(path);
    // A part in the file says nothing about the file.
    if (download === undefined || offset > 0)
      return planned.isPartOnly === true ? undefined : planned;
    if (download.root === root) {
      const { kind, name, manifest } = download;
      return { ...planned, kind, name, ...(manifest && { manifest }) };
    }
    await downloads.forget([path]);
    const file = this.#files.get(path);
    return file !== undefined && "contents" in file ? planned : undefined;
  }

  #know(id: string, manifest: Manifest): void {
    if (this.#manifests.has(id)) return;
    this.#manifests.set(id, { manifest });
    for (const part of manifest.parts) {
      const name = partName(part.id, manifest.name);
      this.#parts.set(toRoot(part.root), { name, manifest: id });
      this.#partSizes.add(part.sizeBytes);
    }
  }

  /** A manifest beside the model that has its sizes but is not its own: made from other bytes, or by another version. */
  #warnOfOther(
    id: string,
    manifest: Manifest,
    stamps: readonly FileStamp[],
  ): void {
    const folder = dirname(stamps[0]?.path ?? "");
    const sizes = JSON.stringify(manifest.files);
    for (const [path, file] of this.#files) {
      if (dirname(path) !== folder || !("contents" in file)) continue;
      const other = file.manifest;
      if (other === undefined || other.id === id) continue;
      if (JSON.stringify(other.manifest.files) !== sizes) continue;
      this.#options.events.warn(
        "TORRENT",
        "the manifest beside a model is not the model's",
        { path, manifest: other.id, expected: id },
      );
    }
  }

  async #fail(stamp: FileStamp, { code, message }: ShoalError): Promise<void> {
    const { events, onUnsettled } = this.#options;
    if (code === "ABORTED") return;
    const { path } = stamp;
    // Harmless: a model that cannot be cut is shared whole, and a removed file has no reader.
    const isHarmless =
      code.startsWith("MODEL_") || (await stampOf(path)) === undefined;
    const level = isHarmless ? "debug" : "warn";
    events[level]("TORRENT", message, { path, code });
    if (code !== "CONTENT_CHANGED") return;
    this.#files.delete(path);
    onUnsettled();
  }
}

function isManifest({ ranges }: PlannedContent): boolean {
  return ranges[0]?.path.endsWith(".cbor") === true;
}

async function wholeRange(path: string): Promise<readonly FileRange[]> {
  const stamp = await stampOf(path);
  if (stamp === undefined) {
    throw new ShoalError("FILE_NOT_FOUND", `${path} is gone`, { path });
  }
  return wholeFile(stamp).ranges;
}
