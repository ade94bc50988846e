/**
 * The hub's cache on this disk, as huggingface_hub and llama.cpp have it, so that all of them share it:
 *
 *     models--owner--name/refs/main                           the commit that was last seen there
 *     models--owner--name/blobs/CHECKSUM                      the bytes
 *     models--owner--name/snapshots/COMMIT/folder/file.gguf   a relative link to them
 *
 * Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 */
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  symlink,
  unlink,
} from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { writeAtomically } from "../gguf/index.ts";
import { writeError } from "../lib/index.ts";
import type { NamedFile } from "./choose-files.ts";

const COMMIT = /^[0-9a-f]{40}$/;

export interface CacheOptions {
  /** Replaced in tests: not every system has links. */
  link?: (target: string, path: string) => Promise<void>;
}

export class HubCache {
  readonly folder: string;
  readonly #link: (target: string, path: string) => Promise<void>;

  constructor(
    cacheDir: string,
    repo: string,
    { link = symlink }: CacheOptions = {},
  ) {
    this.folder = join(cacheDir, `models--${repo.replaceAll("/", "--")}`);
    this.#link = link;
  }

  blob(checksum: string): string {
    return join(this.folder, "blobs", checksum);
  }

  snapshot(commit: string, path = ""): string {
    return join(this.folder, "snapshots", commit, ...path.split("/"));
  }

  /** The commit that a revision had when it was last looked up. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (COMMIT.test(revision)) return revision;
    const path = this.#ref(revision);
    const text = await readFile(path, "utf8").catch(() => "");
    const commit = text.trim();
    return COMMIT.test(commit) ? commit : undefined;
  }

  /** So that others, and we without a network, find the commit. */
  async remember(revision: string, commit: string): Promise<void> {
    if (COMMIT.test(revision)) return;
    if ((await this.commitOf(revision)) === commit) return;
    const path = this.#ref(revision);
    await mkdir(dirname(path), { recursive: true });
    await writeAtomically(path, {}, (output) =>
      output.write(new TextEncoder().encode(commit)),
    );
  }

  /** The files of a commit that are here, by their paths in the repository. */
  async list(commit: string): Promise<NamedFile[]> {
    const root = this.snapshot(commit);
    const names = await readdir(root, { recursive: true }).catch(() => []);
    const found = await Promise.all(
      names.map(async (name) => ({
        path: name.split(sep).join("/"),
        sizeBytes: await sizeOf(join(root, name)),
      })),
    );
    return found.flatMap(({ path, sizeBytes }) =>
      sizeBytes === undefined ? [] : [{ path, sizeBytes }],
    );
  }

  async hasFile(commit: string, file: NamedFile): Promise<boolean> {
    return (await sizeOf(this.snapshot(commit, file.path))) === file.sizeBytes;
  }

  /**
   * Gives a blob its name in a commit. Where links are not possible a new blob is moved there, and one that others may use is copied, as
   * huggingface_hub does.
   */
  async place(
    checksum: string,
    commit: string,
    path: string,
    isNew: boolean,
  ): Promise<void> {
    const blob = this.blob(checksum);
    const pointer = this.snapshot(commit, path);
    try {
      await mkdir(dirname(pointer), { recursive: true });
      await unlink(pointer).catch(() => {});
      const target = relative(dirname(pointer), blob);
      const isLinked = await this.#link(target, pointer).then(
        () => true,
        () => false,
      );
      if (isLinked || (await sizeOf(pointer)) === (await sizeOf(blob))) return;
      await (isNew ? rename(blob, pointer) : copyFile(blob, pointer));
    } catch (error) {
      throw writeError(error, pointer);
    }
  }

  #ref(revision: string): string {
    return join(this.folder, "refs", ...revision.split("/"));
  }
}

/** Of a regular file, through links. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true ? found.size : undefined;
}
