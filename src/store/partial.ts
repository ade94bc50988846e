/**
 * A content that is downloading: `<path>.part`, which has the full size and holes from the start, and `<path>.part.state` with its state.
 * Each piece is verified before it is written and can be read from then on. At the end the file gets its name.
 */
import { constants } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { basename } from "node:path";
import {
  type EventSink,
  ShoalError,
  readAll,
  writeError,
  moveFile,
} from "../lib/index.ts";
import type { Hasher } from "./hasher.ts";
import {
  type PartialDescription,
  PartialState,
  readPartialState,
} from "./partial-state.ts";
import { PieceSet } from "./piece-set.ts";
import {
  expectedHash,
  HASH_BYTES,
  pieceCount,
  pieceSize,
  verifyPieceHash,
  verifyPieceSize,
} from "./piece-tree.ts";
import { stampOf, syncFolderOf } from "./files.ts";
import {
  type Content,
  type ContentMetadata,
  type PartialContent,
  PIECE_BYTES,
} from "./types.ts";

export interface PartialFileOptions {
  /** The final path. */
  path: string;
  hasher: Hasher;
  events: EventSink;
  /** One more piece is written. */
  onPiece: () => void;
  /** The file has its name. */
  onFinish: () => Promise<void>;
  /** It is not read or written any more: it finished, or was abandoned for now. */
  onClose: () => void;
}

/** Synced to the disk while more arrives, so that the end does not wait for all of it. */
const SYNC_EVERY_BYTES = 64 * PIECE_BYTES;

export const PART_SUFFIX = ".part";
export const STATE_SUFFIX = ".part.state";

export class PartialFile implements PartialContent {
  readonly content: Content;
  #options: PartialFileOptions;
  #data: FileHandle;
  /** None if the file has its name already. */
  #state: PartialState | undefined;
  /** Its bits are `content.have`. */
  #have: PieceSet;
  #writes = new Map<number, Promise<Uint8Array>>();
  #unsyncedBytes = 0;
  /** Settles when it is over. The system reports a failure only once, so it must not be lost. */
  #syncing: Promise<void> | undefined;
  #syncError: unknown;
  #finishing: Promise<string> | undefined;
  #closing: Promise<void> | undefined;
  #released: Promise<void> | undefined;

  private constructor(
    description: PartialDescription,
    options: PartialFileOptions,
    files: { data: FileHandle; state?: PartialState; have: PieceSet },
  ) {
    const { metadata, name, kind, manifest } = description;
    this.#options = options;
    this.#data = files.data;
    this.#state = files.state;
    this.#have = files.have;
    const path =
      files.state === undefined
        ? options.path
        : `${options.path}${PART_SUFFIX}`;
    this.content = {
      metadata,
      kind,
      name,
      manifest,
      ranges: [{ path, offset: 0, sizeBytes: metadata.sizeBytes }],
      primary: false,
      have: files.have.bits,
    };
  }

  /** Resumes the same content; another one is discarded. */
  static async open(
    description: PartialDescription,
    options: PartialFileOptions,
  ): Promise<PartialFile> {
    const { path } = options;
    const { sizeBytes } = description.metadata;
    const partPath = `${path}${PART_SUFFIX}`;
    const named = await alreadyNamed(description, options);
    if (named !== undefined) {
      const data = await openFile(path, constants.O_RDONLY);
      return new PartialFile(description, options, { data, have: named });
    }
    const before = await unfinished(description, options);
    // If it is not resumed, it is a new file from here on; a process that still writes to the old one finds that out when it ends.
    if (before === undefined) await rm(partPath, { force: true });
    const data = await openFile(partPath, constants.O_RDWR | constants.O_CREAT);
    try {
      await data.truncate(sizeBytes);
      const have = await takeUp(before, description, options);
      const state = await PartialState.create(
        `${path}${STATE_SUFFIX}`,
        description,
        have.bits,
      );
      return new PartialFile(description, options, { data, state, have });
    } catch (error) {
      await data.close();
      throw writeError(error, partPath);
    }
  }

  get path(): string {
    return this.#options.path;
  }

  /** Still to be written. */
  get missingBytes(): number {
    const { sizeBytes } = this.content.metadata;
    const { size, count } = this.#have;
    const last = size - 1;
    const full = size - count - (this.#have.has(last) ? 0 : 1);
    const lastBytes = this.#have.has(last) ? 0 : pieceSize(sizeBytes, last);
    return full * PIECE_BYTES + lastBytes;
  }

  async writePiece(index: number, bytes: Uint8Array): Promise<Uint8Array> {
    verifyPieceSize(this.content.metadata, index, bytes.length);
    // The same piece from two sources: one write.
    for (let other; (other = this.#writes.get(index)) !== undefined;)
      await other.catch(() => {});
    this.#refuseIfClosed();
    const write = this.#write(index, bytes).finally(() => {
      this.#writes.delete(index);
    });
    this.#writes.set(index, write);
    return await write;
  }

  async read(index: number): Promise<Uint8Array> {
    const { root, sizeBytes } = this.content.metadata;
    this.#refuseIfClosed();
    if (!this.#have.has(index)) {
      throw new ShoalError(
        "PIECE_MISSING",
        `piece ${index} of ${this.content.name} is not here yet`,
        { root, piece: index },
      );
    }
    const bytes = Buffer.allocUnsafeSlow(pieceSize(sizeBytes, index));
    const read = await readAll(this.#data, bytes, index * PIECE_BYTES);
    if (read === bytes.length) return bytes;
    const path = `${this.path}${PART_SUFFIX}`;
    throw new ShoalError(
      "CONTENT_CHANGED",
      `${path} became shorter while it was written`,
      { root, path },
    );
  }

  finish(): Promise<string> {
    // If it fails (no space left), it can be tried again.
    this.#finishing ??= this.#finish().finally(() => {
      this.#finishing = undefined;
    });
    return this.#finishing;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #write(index: number, bytes: Uint8Array): Promise<Uint8Array> {
    const { metadata } = this.content;
    const isNew = !this.#have.has(index);
    const position = index * PIECE_BYTES;
    const path = `${this.path}${PART_SUFFIX}`;
    const taken = await this.#options.hasher.takePiece({
      bytes,
      isOnly: this.#have.size === 1,
      expected: expectedHash(metadata, index),
      target: isNew ? { fd: this.#data.fd, position, path } : undefined,
    });
    verifyPieceHash(metadata, index, taken.pieceHash);
    if (!isNew) return taken.bytes;
    this.#unsyncedBytes += taken.bytes.length;
    if (this.#unsyncedBytes >= SYNC_EVERY_BYTES) this.#syncSome();
    this.#have.add(index);
    // Both wait for it, so that a reported piece is still there after a kill.
    await this.#state?.mark(index);
    this.#options.onPiece();
    return taken.bytes;
  }

  #syncSome(): void {
    if (this.#syncing !== undefined) return;
    this.#unsyncedBytes = 0;
    this.#syncing = this.#data
      .datasync()
      .catch((error: unknown) => {
        this.#syncError ??= error;
      })
      .finally(() => {
        this.#syncing = undefined;
      });
  }

  async #finish(): Promise<string> {
    this.#refuseIfClosed();
    const { path, onFinish } = this.#options;
    if (!this.#have.isFull) {
      const missing = this.#have.size - this.#have.count;
      throw new ShoalError(
        "PIECE_MISSING",
        `${missing} pieces of ${this.content.name} are missing`,
        { root: this.content.metadata.root, missing },
      );
    }
    await Promise.allSettled(this.#writes.values());
    try {
      await this.#syncing;
      if (this.#syncError !== undefined) throw this.#syncError;
      await this.#data.datasync();
      if (this.#state !== undefined) await this.#giveName();
    } catch (error) {
      throw writeError(error, path);
    }
    try {
      // It is shared under its name before it stops being shared under this one.
      await onFinish();
    } finally {
      await this.#release();
      await rm(`${path}${STATE_SUFFIX}`, { force: true });
    }
    return path;
  }

  async #giveName(): Promise<void> {
    const { path } = this.#options;
    const partPath = `${path}${PART_SUFFIX}`;
    // Another process may have started the same name over: then this is no longer the file that was written.
    const { ino } = await this.#data.stat({ bigint: true });
    if ((await stampOf(partPath))?.inode !== String(ino)) {
      throw new ShoalError(
        "CONTENT_CHANGED",
        `${partPath} was replaced while it was written`,
        { path: partPath },
      );
    }
    if ((await stampOf(path)) !== undefined) refuseToOverwrite(path);
    await moveFile(partPath, path);
    await syncFolderOf(path);
  }

  async #close(): Promise<void> {
    await this.#finishing?.catch(() => {});
    await this.#release();
  }

  #release(): Promise<void> {
    this.#released ??= this.#releaseOnce();
    return this.#released;
  }

  async #releaseOnce(): Promise<void> {
    await Promise.allSettled(this.#writes.values());
    await this.#syncing;
    this.#options.onClose();
    await this.#data.close();
    await this.#state?.[Symbol.asyncDispose]();
  }

  #refuseIfClosed(): void {
    if ((this.#closing ?? this.#released) === undefined) return;
    throw new ShoalError(
      "ABORTED",
      `the download of ${this.content.name} was closed`,
      { root: this.content.metadata.root },
    );
  }
}

/** Throws FILE_UNWRITABLE: a download never replaces another file. */
export function refuseToOverwrite(path: string): never {
  throw new ShoalError("FILE_UNWRITABLE", `${path} already exists`, { path });
}

async function openFile(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (error) {
    throw writeError(error, path);
  }
}

/**
 * All pieces, if the file under the name has this very content: the process was killed before it reported the end. Undefined if the name is
 * free. Throws FILE_UNWRITABLE if it belongs to another file.
 */
async function alreadyNamed(
  { metadata }: PartialDescription,
  { path, hasher }: PartialFileOptions,
): Promise<PieceSet | undefined> {
  const stamp = await stampOf(path);
  if (stamp === undefined) return undefined;
  if (stamp.sizeBytes !== metadata.sizeBytes) refuseToOverwrite(path);
  const all = PieceSet.full(pieceCount(metadata.sizeBytes));
  const have = await verified(all, metadata, path, hasher);
  return have.isFull ? have : refuseToOverwrite(path);
}

/** The pieces that an earlier download of the same content marked. */
async function unfinished(
  { metadata }: PartialDescription,
  { path, events }: PartialFileOptions,
): Promise<PieceSet | undefined> {
  const state = await readPartialState(`${path}${STATE_SUFFIX}`);
  if (state === undefined) return undefined;
  if (state.metadata.root === metadata.root) return state.marked;
  events.warn("TORRENT", "an unfinished download of another content is lost", {
    path: basename(path),
    root: state.metadata.root,
  });
  return undefined;
}

/** The marked pieces of an earlier download whose bytes are in the file. */
async function takeUp(
  marked: PieceSet | undefined,
  { metadata, name }: PartialDescription,
  { path, hasher, events }: PartialFileOptions,
): Promise<PieceSet> {
  if (marked === undefined || marked.count === 0)
    return new PieceSet(pieceCount(metadata.sizeBytes));
  const have = await verified(
    marked,
    metadata,
    `${path}${PART_SUFFIX}`,
    hasher,
  );
  events.info("TORRENT", "resuming an unfinished download", {
    name,
    root: metadata.root,
    pieces: have.size,
    have: have.count,
    damaged: marked.count - have.count,
  });
  return have;
}

/** The pieces among these whose bytes are in the file. */
async function verified(
  pieces: PieceSet,
  metadata: ContentMetadata,
  path: string,
  hasher: Hasher,
): Promise<PieceSet> {
  const have = new PieceSet(pieces.size);
  const indices = [...pieces];
  const hashes = await hasher.hashPieces(
    indices.map((piece) => ({
      path,
      offset: piece * PIECE_BYTES,
      sizeBytes: pieceSize(metadata.sizeBytes, piece),
    })),
    { isOnly: pieces.size === 1 },
  );
  for (const [i, piece] of indices.entries()) {
    const actual = hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES);
    const expected = expectedHash(metadata, piece);
    if (Buffer.compare(actual, expected) === 0) have.add(piece);
  }
  return have;
}
