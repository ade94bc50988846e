/** A store in memory, for tests of the transfer: what a store promises, without a disk. */
import { ShoalError } from "../../src/lib/index.ts";
import {
  PieceSet,
  pieceCount,
  pieceHash,
  toRoot,
  verifyPiece,
  type Content,
  type ContentMetadata,
  type ContentStore,
  type PartialContent,
  PIECE_BYTES,
  type Root,
} from "../../src/store/index.ts";
import { rootOfPieces } from "../../src/store/piece-tree.ts";

interface Held {
  content: Content;
  bytes: Uint8Array;
}

export class StoreDouble implements ContentStore {
  readonly #held = new Map<Root, Held>();
  readonly #listeners = new Set<() => void>();
  /** Pieces written, in order. */
  readonly written: number[] = [];
  /** Pieces read. */
  reads = 0;
  /** Called before each write. */
  onWrite: (piece: number) => void | Promise<void> = () => {};
  closed = 0;

  /** A whole content, or the pieces of it that are named. */
  add(bytes: Uint8Array, pieces?: readonly number[]): ContentMetadata {
    const metadata = metadataOf(bytes);
    const count = pieceCount(bytes.length);
    const have =
      pieces === undefined ? PieceSet.full(count) : new PieceSet(count);
    for (const piece of pieces ?? []) have.add(piece);
    this.#held.set(metadata.root, {
      bytes: bytes.slice(),
      content: contentOf(metadata, "here", have.bits),
    });
    this.tell();
    return metadata;
  }

  remove(root: Root): void {
    this.#held.delete(root);
    this.tell();
  }

  bytes(root: Root): Uint8Array | undefined {
    return this.#held.get(root)?.bytes;
  }

  tell(): void {
    for (const listener of this.#listeners) listener();
  }

  list(): Content[] {
    return [...this.#held.values()].map(({ content }) => content);
  }

  get(root: Root): Content | undefined {
    return this.#held.get(root)?.content;
  }

  async readPiece(root: Root, index: number): Promise<Uint8Array> {
    const held = this.#held.get(root);
    if (held === undefined)
      throw new ShoalError("CONTENT_UNKNOWN", "not here", { root });
    this.reads++;
    await new Promise(setImmediate);
    return held.bytes.slice(index * PIECE_BYTES, (index + 1) * PIECE_BYTES);
  }

  async resumable(): Promise<undefined> {
    return undefined;
  }

  async open(
    metadata: ContentMetadata,
    options: { path: string; name: string },
  ): Promise<PartialContent> {
    const { root, sizeBytes } = metadata;
    let held = this.#held.get(root);
    if (held === undefined) {
      const have = new PieceSet(pieceCount(sizeBytes));
      held = {
        bytes: new Uint8Array(sizeBytes),
        content: contentOf(metadata, options.name, have.bits),
      };
      this.#held.set(root, held);
    }
    const { content, bytes } = held;
    return {
      content,
      writePiece: async (index, piece) => {
        await this.onWrite(index);
        verifyPiece(metadata, index, piece);
        bytes.set(piece, index * PIECE_BYTES);
        content.have[index >> 3] =
          (content.have[index >> 3] ?? 0) | (1 << (index & 7));
        this.written.push(index);
        this.tell();
        return piece;
      },
      finish: async () => options.path,
      close: async () => {
        this.closed++;
      },
    };
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export function metadataOf(bytes: Uint8Array): ContentMetadata {
  const count = pieceCount(bytes.length);
  const hashes = Array.from({ length: count }, (_, i) =>
    pieceHash(bytes.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES), {
      isOnly: count === 1,
    }),
  );
  const pieceHashes = new Uint8Array(Buffer.concat(hashes));
  const root = toRoot(rootOfPieces(pieceHashes));
  return { root, sizeBytes: bytes.length, pieceHashes };
}

function contentOf(
  metadata: ContentMetadata,
  name: string,
  have: Uint8Array,
): Content {
  const { sizeBytes } = metadata;
  const ranges = [{ path: `/${name}`, offset: 0, sizeBytes }];
  return { metadata, kind: "part", name, ranges, primary: false, have };
}
