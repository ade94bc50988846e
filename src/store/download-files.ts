/**
 * The downloads of a store: open ones with the space they still need, and a list of finished ones, because no file has their names and
 * kinds.
 */
import { mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { ShoalError, checkDiskSpace, writeError } from "../lib/index.ts";
import { readPartialState, type PartialDescription } from "./partial-state.ts";
import {
  PartialFile,
  type PartialFileOptions,
  refuseToOverwrite,
  STATE_SUFFIX,
} from "./partial.ts";
import { pieceSize } from "./piece-tree.ts";
import { stampOf, writeWhole } from "./files.ts";
import type { Root } from "./types.ts";

const finishedSchema = z.array(
  z.object({
    path: z.string().max(4096),
    root: z.string().regex(/^[0-9a-f]{64}$/),
    name: z.string().max(4096),
    kind: z.enum(["part", "shard", "file"]),
    manifest: z.string().max(256).optional(),
  }),
);

export type FinishedDownload = z.infer<typeof finishedSchema>[number];

interface OpenDownload {
  root: Root;
  path: string;
  /** Of the file system it is on. */
  device: number;
  missingBytes: () => number;
  file?: PartialFile;
}

const FILE_NAME = "downloads.json";

export class DownloadFiles {
  #stateDir: string;
  #open = new Set<OpenDownload>();
  #finished = new Map<string, FinishedDownload>();
  /** Checked one after the other, because two that fit alone may not fit together. */
  #checking: Promise<unknown> = Promise.resolve();
  #saving: Promise<void> = Promise.resolve();

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  async load(): Promise<void> {
    const text = await readFile(join(this.#stateDir, FILE_NAME), "utf8").catch(
      () => "[]",
    );
    try {
      for (const download of finishedSchema.parse(JSON.parse(text)))
        this.#finished.set(download.path, download);
    } catch {
      // Damaged: downloads that are GGUFs in a watched folder are found again anyway.
    }
  }

  /** By path. */
  get finished(): ReadonlyMap<string, FinishedDownload> {
    return this.#finished;
  }

  partials(): PartialFile[] {
    return [...this.#open].flatMap(({ file }) => file ?? []);
  }

  partial(root: Root): PartialFile | undefined {
    return this.partials().find(
      ({ content }) => content.metadata.root === root,
    );
  }

  /** Throws CONTENT_BUSY, DISK_FULL, FILE_UNWRITABLE before anything is written. */
  async open(
    description: PartialDescription,
    options: PartialFileOptions,
  ): Promise<PartialFile> {
    const path = resolve(options.path);
    const checked = this.#checking.then(() => this.#reserve(description, path));
    this.#checking = checked.catch(() => {});
    const download = await checked;
    try {
      const file = await PartialFile.open(description, {
        ...options,
        path,
        onClose: () => {
          this.#open.delete(download);
          options.onClose();
        },
      });
      download.missingBytes = () => file.missingBytes;
      download.file = file;
      return file;
    } catch (error) {
      this.#open.delete(download);
      throw error;
    }
  }

  async finish(download: FinishedDownload): Promise<void> {
    this.#finished.set(download.path, download);
    await this.#save();
  }

  /** Those whose files are gone. */
  async forget(paths: readonly string[]): Promise<void> {
    for (const path of paths) this.#finished.delete(path);
    if (paths.length > 0) await this.#save();
  }

  async close(): Promise<void> {
    await Promise.all(this.partials().map((file) => file.close()));
  }

  async #reserve(
    { metadata }: PartialDescription,
    path: string,
  ): Promise<OpenDownload> {
    const { root, sizeBytes } = metadata;
    for (const other of this.#open) {
      if (other.root !== root && other.path !== path) continue;
      throw new ShoalError(
        "CONTENT_BUSY",
        other.path === path
          ? `${path} is being downloaded already`
          : `content ${root} is being downloaded already, to ${other.path}`,
        { root, path: other.path },
      );
    }
    const there = await stampOf(path);
    if (there !== undefined && there.sizeBytes !== sizeBytes)
      refuseToOverwrite(path);
    const folder = dirname(path);
    await mkdir(folder, { recursive: true }).catch((error: unknown) => {
      throw writeError(error, folder);
    });
    const { dev } = await stat(folder);
    const before = await readPartialState(`${path}${STATE_SUFFIX}`);
    let missing = there === undefined ? sizeBytes : 0;
    if (there === undefined && before?.metadata.root === root) {
      for (const piece of before.marked) missing -= pieceSize(sizeBytes, piece);
    }
    const sameDisk = [...this.#open].filter(({ device }) => device === dev);
    const promised = sameDisk.reduce((sum, d) => sum + d.missingBytes(), 0);
    const stateBytes = 2 * metadata.pieceHashes.length;
    await checkDiskSpace(folder, missing + promised + stateBytes);
    const download = { root, path, device: dev, missingBytes: () => missing };
    this.#open.add(download);
    return download;
  }

  #save(): Promise<void> {
    const saved = this.#saving.then(async () => {
      const text = JSON.stringify([...this.#finished.values()], undefined, 1);
      await mkdir(this.#stateDir, { recursive: true });
      await writeWhole(join(this.#stateDir, FILE_NAME), Buffer.from(text));
    });
    this.#saving = saved.catch(() => {});
    return saved;
  }
}
