import type { Digest } from "./digest.ts";

/** A file on a server, and what is known of it before it is fetched. */
export interface RemoteFile {
  url: string;
  /** In errors and the log, and what a refusal is about: "owner/repo", or a host. */
  what: string;
  /** Its name, for people. */
  name: string;
  sizeBytes: number;
  /** Undefined: the server gives none, and only the size is checked. */
  digest: Digest | undefined;
  /**
   * A strong ETag or a date, sent back as If-Range so that a changed file is not joined to the old one. "always" where the address names
   * the very bytes; undefined: the file cannot be continued.
   */
  validator: string | undefined;
  /** Where the verified bytes go. */
  target: string;
}

export interface FileProgress {
  name: string;
  doneBytes: number;
  sizeBytes: number;
  bytesPerSecond: number;
}

/** What has to be fetched for a model, and what is here already. */
export interface FetchPlan {
  /** For people: what, and which version of it. */
  title: string;
  /** Where the files go. */
  folder: string;
  /** In order. */
  files: readonly PlannedFile[];
  /** Called once all are here. */
  finish?: () => Promise<void>;
}

export interface PlannedFile {
  /** Undefined: it is on this machine. */
  remote: RemoteFile | undefined;
  name: string;
  sizeBytes: number;
  /** Where a program finds it: now, or once it is fetched and `place` has run. */
  path: string;
  /** Gives the verified bytes that name. */
  place?: (isNew: boolean) => Promise<void>;
}
