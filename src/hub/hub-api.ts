/**
 * What the hub says about a repository: the commit of a revision, and its files with their sizes and checksums.
 * Source: https://huggingface.co/docs/hub/api and hf_api.py of huggingface_hub (model_info, list_repo_tree, RepoFile).
 */
import { z } from "zod";
import { type Digest, isDigestHex } from "./digest.ts";
import type { NamedFile } from "./choose-files.ts";
import type { Limits } from "./defaults.ts";
import { isSafePath, type HubReference } from "./reference.ts";
import type { HubSettings } from "./settings.ts";
import { invalid, type Web } from "./web.ts";

export interface HubFile extends NamedFile {
  digest: Digest;
}

export interface HubRevision {
  /** 40 hexadecimal digits. */
  commit: string;
  files: HubFile[];
}

const Revision = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
const Entry = z.object({
  type: z.string(),
  path: z.string(),
  oid: z.string().optional(),
  size: z.number().int().nonnegative().optional(),
  lfs: z
    .object({ oid: z.string(), size: z.number().int().nonnegative() })
    .optional(),
});

export class HubApi {
  readonly #web: Web;
  readonly #settings: HubSettings;
  readonly #limits: Limits;

  constructor(web: Web, settings: HubSettings, limits: Limits) {
    this.#web = web;
    this.#settings = settings;
    this.#limits = limits;
  }

  async revision(
    { repo, revision }: HubReference,
    signal: AbortSignal,
  ): Promise<HubRevision> {
    const base = `${this.#settings.endpoint}/api/models/${repo}`;
    const address = `${base}/revision/${encodeURIComponent(revision)}`;
    const { value } = await this.#web.json(address, { what: repo, signal });
    const told = Revision.safeParse(value);
    if (!told.success)
      throw invalid(address, "it names no commit: it is not the model hub");
    const commit = told.data.sha;
    return {
      commit,
      files: await this.#files(
        `${base}/tree/${commit}?recursive=true`,
        repo,
        signal,
      ),
    };
  }

  /** Where a file's bytes are. */
  fileUrl(repo: string, commit: string, path: string): string {
    const escaped = path.split("/").map(encodeURIComponent).join("/");
    return `${this.#settings.endpoint}/${repo}/resolve/${commit}/${escaped}`;
  }

  async #files(
    first: string,
    repo: string,
    signal: AbortSignal,
  ): Promise<HubFile[]> {
    const files: HubFile[] = [];
    let page: string | undefined = first;
    for (let pages = 0; page !== undefined; pages++) {
      if (pages === this.#limits.apiPages)
        throw invalid(page, `${repo} has more than ${pages} pages of files`);
      const { value, next } = await this.#web.json(page, {
        what: repo,
        signal,
      });
      const entries = z.array(Entry).safeParse(value);
      if (!entries.success)
        throw invalid(page, "its list of files is malformed");
      files.push(
        ...entries.data.flatMap((entry) => fileOf(entry, this.#limits)),
      );
      page = next;
    }
    return files;
  }
}

/** None where it is no file, or one whose name or checksum is not usable. */
function fileOf(entry: z.infer<typeof Entry>, limits: Limits): HubFile[] {
  const { type, path, lfs } = entry;
  const sizeBytes = lfs?.size ?? entry.size;
  const digest: Digest =
    lfs === undefined
      ? { algorithm: "git", hex: entry.oid ?? "" }
      : { algorithm: "sha256", hex: lfs.oid };
  const isUsable =
    type === "file" &&
    isSafePath(path) &&
    isDigestHex(digest) &&
    sizeBytes !== undefined &&
    sizeBytes <= limits.fileBytes;
  return isUsable ? [{ path, sizeBytes, digest }] : [];
}
