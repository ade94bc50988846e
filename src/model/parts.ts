/**
 * The bytes of a model's parts. A part is its tensors in order, each padded with zeros to 32. The metadata part is a small GGUF with all
 * key-values and the tensors that every shard needs, so that llama.cpp can load a tokenizer from it.
 */
import {
  alignUp,
  DEFAULT_ALIGNMENT,
  encodeHeader,
  openFile,
  readExactly,
  writeAtomically,
  type GgufMetadata,
  type GgufModel,
  type GgufTensor,
} from "../gguf/index.ts";
import { MerkleHasher, reasonOf } from "../lib/index.ts";
import { describeModel } from "./describe.ts";
import { originalMetadata } from "./keys.ts";

/** Also GGUF's default, so that a part is in a shard file unchanged. */
export const PART_ALIGNMENT = DEFAULT_ALIGNMENT;

/** Hashing one takes some milliseconds; other work on the thread waits no longer than that. */
const CHUNK_BYTES = 1024 * 1024;

/** A part without tensors is so many zeros: a content has bytes. With a tied head LFM2 and OLMo have nothing behind their layers. */
export function partDataBytes(
  tensors: readonly { sizeBytes: number }[],
): number {
  return Math.max(PART_ALIGNMENT, tensorsSizeBytes(tensors));
}

export function tensorsSizeBytes(
  tensors: readonly { sizeBytes: number }[],
): number {
  return tensors.reduce(
    (sum, { sizeBytes }) => sum + alignUp(sizeBytes, PART_ALIGNMENT),
    0,
  );
}

/** The metadata part without its tensors' data, which follows it. */
export function metadataHeader(
  metadata: GgufMetadata,
  shared: readonly GgufTensor[],
): Uint8Array {
  return encodeHeader({ metadata: originalMetadata(metadata), tensors: shared })
    .header;
}

/** Reads parts from a model's files, which stay open until it is disposed. */
export class PartReader implements AsyncDisposable {
  #model: GgufModel;
  #signal: AbortSignal | undefined;
  #open = new Map<number, Awaited<ReturnType<typeof openFile>>["handle"]>();
  #chunk = new Uint8Array(CHUNK_BYTES);

  constructor(model: GgufModel, signal?: AbortSignal) {
    this.#model = model;
    this.#signal = signal;
  }

  /** The tensors' data, each padded. A chunk is valid until the next one is requested. */
  async *tensors(tensors: readonly GgufTensor[]): AsyncGenerator<Uint8Array> {
    for (const { fileIndex, offset, sizeBytes } of tensors) {
      const { handle, path } = await this.#file(fileIndex);
      for (let done = 0; done < sizeBytes;) {
        if (this.#signal?.aborted === true) throw reasonOf(this.#signal);
        const chunk = this.#chunk.subarray(
          0,
          Math.min(CHUNK_BYTES, sizeBytes - done),
        );
        await readExactly(handle, path, chunk, offset + done);
        done += chunk.length;
        yield chunk;
      }
      yield new Uint8Array(alignUp(sizeBytes, PART_ALIGNMENT) - sizeBytes);
    }
  }

  /** A whole part. */
  async *part(part: {
    id: string;
    tensors: readonly GgufTensor[];
  }): AsyncGenerator<Uint8Array> {
    if (part.id === "metadata")
      yield metadataHeader(this.#model.metadata, part.tensors);
    else if (part.tensors.length === 0) yield new Uint8Array(PART_ALIGNMENT);
    yield* this.tensors(part.tensors);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const handles = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(handles.map((handle) => handle.close()));
  }

  async #file(index: number): Promise<{
    handle: Awaited<ReturnType<typeof openFile>>["handle"];
    path: string;
  }> {
    const path = this.#model.files[index]?.path ?? "";
    const handle = this.#open.get(index) ?? (await openFile(path)).handle;
    this.#open.set(index, handle);
    return { handle, path };
  }
}

/** Passes chunks on and hashes them; `check` gets the root after the last. */
export async function* hashed(
  chunks: AsyncIterable<Uint8Array>,
  check: (root: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  const hasher = new MerkleHasher();
  for await (const chunk of chunks) {
    hasher.update(chunk);
    yield chunk;
  }
  check(hasher.digest());
}

/** Writes the metadata part as a file: a GGUF from which llama.cpp loads only the vocabulary. Returns its size. */
export async function writeMetadata(
  model: GgufModel,
  path: string,
  options: { signal?: AbortSignal } = {},
): Promise<number> {
  const [metadata] = describeModel(model).parts;
  await using reader = new PartReader(model, options.signal);
  const chunks = metadata === undefined ? [] : reader.part(metadata);
  return await writeAtomically(path, options, (output) =>
    output.write({ chunks }),
  );
}
