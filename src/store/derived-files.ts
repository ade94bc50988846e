/**
 * Files that belong to a model but are not ranges of its files: its manifest and the head of its metadata part. Both follow from the model.
 * They are kept in the state folder so that they can be shared like everything else.
 */
import { hash } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeError, moveFile, removeTree } from "../lib/index.ts";
import { type FileStamp, writeWhole } from "./files.ts";

const METADATA = "metadata.gguf";
const MANIFEST = "manifest.cbor";

export class DerivedFiles {
  #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The metadata part as a file. It is made at each start, and an equal file is kept. */
  async metadata(
    model: readonly FileStamp[],
    write: (path: string) => Promise<unknown>,
  ): Promise<string> {
    const path = await this.#pathOf(model, METADATA);
    const made = `${path}.new.tmp`;
    try {
      await write(made);
      const [before, now] = await Promise.all([
        readFile(path).catch(() => undefined),
        readFile(made),
      ]);
      if (before?.equals(now) !== true) await moveFile(made, path);
    } catch (error) {
      throw writeError(error, path);
    } finally {
      await rm(made, { force: true });
    }
    return path;
  }

  async manifest(
    model: readonly FileStamp[],
    bytes: Uint8Array,
  ): Promise<string> {
    const path = await this.#pathOf(model, MANIFEST);
    const before = await readFile(path).catch(() => undefined);
    if (before?.equals(bytes) !== true) await writeWhole(path, bytes);
    return path;
  }

  /** Removes those of models that are gone; returns their folders. */
  async retain(
    models: readonly (readonly FileStamp[])[],
  ): Promise<ReadonlySet<string>> {
    const wanted = new Set(models.map(keyOf));
    const removed = new Set<string>();
    const names = await readdir(this.#directory).catch(() => []);
    for (const name of names) {
      if (wanted.has(name)) continue;
      const folder = join(this.#directory, name);
      await removeTree(folder);
      removed.add(folder);
    }
    return removed;
  }

  async #pathOf(model: readonly FileStamp[], name: string): Promise<string> {
    const folder = join(this.#directory, keyOf(model));
    await mkdir(folder, { recursive: true }).catch((error: unknown) => {
      throw writeError(error, folder);
    });
    return join(folder, name);
  }
}

function keyOf(model: readonly FileStamp[]): string {
  const text = JSON.stringify(
    model.map(({ path, sizeBytes, mtimeNs }) => [path, sizeBytes, mtimeNs]),
  );
  return hash("sha256", text, "hex").slice(0, 32);
}
