/** Files that exist completely or not at all: they are written under a temporary name beside the target and renamed at the end. */
import { randomBytes } from "node:crypto";
import { open, unlink, type FileHandle } from "node:fs/promises";
import { reasonOf, writeAll, writeError, moveFile } from "../lib/index.ts";
import { openFile, readExactly } from "./files.ts";

/** Bytes to write: in memory, from a range of a file, or generated. */
export type ByteSource =
  | Uint8Array
  | FileRange
  | { chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array> };

/** A run of bytes of a local file. */
export interface FileRange {
  path: string;
  offset: number;
  sizeBytes: number;
}

/** Bytes copied per call: enough that the disk takes the time, not the call. */
const COPY_BYTES = 4 * 1024 * 1024;

export interface WriteOptions {
  signal?: AbortSignal;
  /** Called after each write with the bytes written so far. */
  onProgress?: (writtenBytes: number) => void;
}

export class Output {
  #handle: FileHandle;
  #options: WriteOptions;
  #position = 0;
  #copyBuffer: Uint8Array | undefined;

  constructor(handle: FileHandle, options: WriteOptions) {
    this.#handle = handle;
    this.#options = options;
  }

  /** Bytes written so far. */
  get position(): number {
    return this.#position;
  }

  async write(source: ByteSource): Promise<void> {
    if (source instanceof Uint8Array) return this.#bytes(source);
    if ("path" in source) return this.#copy(source);
    for await (const chunk of source.chunks) await this.#bytes(chunk);
  }

  /** Zeros as a hole, which takes no room on a disk that knows holes. Something must be written behind it. */
  skip(sizeBytes: number): void {
    this.#position += sizeBytes;
    this.#options.onProgress?.(this.#position);
  }

  /** Zeros up to the next multiple of `alignment`. */
  async pad(alignment: number): Promise<void> {
    const over = this.#position % alignment;
    if (over > 0) await this.#bytes(new Uint8Array(alignment - over));
  }

  async #bytes(bytes: Uint8Array): Promise<void> {
    const { signal, onProgress } = this.#options;
    if (signal?.aborted === true) throw reasonOf(signal);
    await writeAll(this.#handle, bytes, this.#position);
    this.#position += bytes.length;
    onProgress?.(this.#position);
  }

  async #copy({ path, offset, sizeBytes }: FileRange): Promise<void> {
    const { handle } = await openFile(path);
    try {
      this.#copyBuffer ??= new Uint8Array(COPY_BYTES);
      for (let done = 0; done < sizeBytes;) {
        const size = Math.min(COPY_BYTES, sizeBytes - done);
        const chunk = this.#copyBuffer.subarray(0, size);
        await readExactly(handle, path, chunk, offset + done);
        await this.#bytes(chunk);
        done += size;
      }
    } finally {
      await handle.close();
    }
  }
}

/**
 * Calls `fill` to write the file and returns its size. On failure nothing is left behind and an older file of that name stays unchanged.
 */
export async function writeAtomically(
  path: string,
  options: WriteOptions,
  fill: (output: Output) => Promise<void>,
): Promise<number> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, "wx");
    const output = new Output(handle, options);
    await fill(output);
    // Sync before the rename; otherwise a crash can leave the new name on an empty file.
    await handle.datasync();
    await handle.close();
    await moveFile(temporary, path);
    return output.position;
  } catch (error) {
    if (handle !== undefined) {
      // Closing twice fails and changes nothing; the first error is the one to report.
      await handle.close().catch(() => {});
      await unlink(temporary).catch(() => {});
    }
    throw writeError(error, path);
  }
}
