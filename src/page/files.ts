/** The built files: few, fixed, kept in memory. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import { PACKAGE_ROOT, ShoalError } from "../lib/index.ts";

/** The page's files are kept in memory. */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_FILES = 64;

export interface PageFile {
  bytes: Buffer;
  type: string;
  etag: string;
  /** Its name changes with its content. */
  immutable: boolean;
}

/** By the path of their URL; empty if the page was not built. */
export type PageFiles = ReadonlyMap<string, PageFile>;

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

export const PAGE_FOLDER: string = join(PACKAGE_ROOT, "dist/page");

/** Throws FILE_UNREADABLE if the folder has other files than a page. */
export async function readPage(folder: string): Promise<PageFiles> {
  const files = new Map<string, PageFile>();
  let totalBytes = 0;
  for (const path of await filesOf(folder)) {
    const type = TYPES[extname(path)];
    if (type === undefined) continue;
    const bytes = await readFile(path);
    totalBytes += bytes.length;
    if (totalBytes > MAX_BYTES || files.size >= MAX_FILES)
      throw new ShoalError(
        "FILE_UNREADABLE",
        "the page's folder has more files than a page",
        { files: files.size, totalBytes },
      );
    const url = `/${relative(folder, path).split(sep).join("/")}`;
    const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
    const file = { bytes, type, etag, immutable: url.startsWith("/assets/") };
    files.set(url, file);
  }
  return files;
}

async function filesOf(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, {
      recursive: true,
      withFileTypes: true,
    });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new ShoalError(
      "FILE_UNREADABLE",
      "the page's folder cannot be read",
      {},
      error,
    );
  }
}
