/**
 * A file's checksum as the hub has it: SHA-256 of the bytes for files in LFS, which all large files are; git's SHA-1 of a blob for others.
 * The digits are also the file's name among the cache's blobs, and its ETag.
 */
import { createHash, type Hash } from "node:crypto";

export interface Digest {
  algorithm: "sha256" | "git";
  /** In lower case. */
  hex: string;
}

export function isDigestHex({ algorithm, hex }: Digest): boolean {
  return algorithm === "sha256"
    ? /^[0-9a-f]{64}$/.test(hex)
    : /^[0-9a-f]{40}$/.test(hex);
}

/** To update with the file's bytes. Source: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects */
export function hashFor(
  algorithm: Digest["algorithm"],
  sizeBytes: number,
): Hash {
  if (algorithm === "sha256") return createHash("sha256");
  return createHash("sha1").update(`blob ${sizeBytes}\0`);
}
