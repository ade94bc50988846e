/** The plainest store that keeps to the contract of src/torrent/types.ts: one content in one file. For the bench alone. */
import { open, type FileHandle } from "node:fs/promises";
import {
  HASH_BYTES,
  pieceCount,
  pieceHash,
  pieceSize,
  rootOfPieces,
  toRoot,
  verifyPiece,
} from "../src/torrent/piece-tree.ts";
import {
  type Content,
  type ContentMetadata,
  type ContentStore,
  type PartialContent,
  PIECE_BYTES,
  type Root,
} from "../src/torrent/types.ts";

export class FileStore implements ContentStore {
  readonly #held = new Map<Root, { content: Content; file: FileHandle }>();

  async add(path: string): Promise<ContentMetadata> {
    const file = await open(path, "r");
    const sizeBytes = (await file.stat()).size;
    const count = pieceCount(sizeBytes);
    const pieceHashes = new Uint8Array(count * HASH_BYTES);
    for (let i = 0; i < count; i++) {
      const piece = await readAt(file, sizeBytes, i);
      pieceHashes.set(
        pieceHash(piece, { isOnly: count === 1 }),
        i * HASH_BYTES,
      );
    }
    const root = toRoot(rootOfPieces(pieceHashes));
    const metadata = { root, sizeBytes, pieceHashes };
    this.#hold(metadata, file, path, 0xff);
    return metadata;
  }

  list(): Content[] {
    return [...this.#held.values()].map(({ content }) => content);
  }

  get(root: Root): Content | undefined {
    return this.#held.get(root)?.content;
  }

  async readPiece(root: Root, index: number): Promise<Uint8Array> {
    const held = this.#held.get(root);
    if (held === undefined) throw new Error("not here");
    return await readAt(held.file, held.content.metadata.sizeBytes, index);
  }

  async open(
    metadata: ContentMetadata,
    { path }: { path: string },
  ): Promise<PartialContent> {
    const file = await open(path, "w+");
    const content = this.#hold(metadata, file, path, 0);
    return {
      content,
      writePiece: async (index, bytes) => {
        if (process.env.V !== "none") verifyPiece(metadata, index, bytes);
        await file.write(bytes, 0, bytes.length, index * PIECE_BYTES);
        content.have[index >> 3] =
          (content.have[index >> 3] ?? 0) | (1 << (index & 7));
      },
      finish: async () => path,
      close: async () => {},
    };
  }

  onChange(): () => void {
    return () => {};
  }

  async remove(root: Root): Promise<void> {
    await this.#held.get(root)?.file.close();
    this.#held.delete(root);
  }

  #hold(
    metadata: ContentMetadata,
    file: FileHandle,
    path: string,
    fill: number,
  ): Content {
    const { root, sizeBytes } = metadata;
    const count = pieceCount(sizeBytes);
    const have = new Uint8Array(Math.ceil(count / 8)).fill(fill);
    if (count % 8 !== 0 && fill !== 0)
      have[have.length - 1] = 0xff >> (8 - (count % 8));
    const content: Content = {
      metadata,
      kind: "file",
      name: "bench",
      ranges: [{ path, offset: 0, sizeBytes }],
      primary: false,
      have,
    };
    this.#held.set(root, { content, file });
    return content;
  }
}

async function readAt(
  file: FileHandle,
  sizeBytes: number,
  index: number,
): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(pieceSize(sizeBytes, index));
  await file.read(bytes, 0, bytes.length, index * PIECE_BYTES);
  return bytes;
}
