/**
 * What changed in a list of contents since it was last told: a seeder has thousands of them, and while pieces come one or two change, many
 * times a second. Piece hashes are left out: they are of use only where pieces are verified.
 */
import {
  PieceSet,
  pieceCount,
  type Content,
  type Root,
} from "../store/index.ts";

export class ContentChanges {
  /** What was told of each, in short. */
  #told = new Map<Root, string>();

  /** Everything, told from here on. */
  all(contents: readonly Content[]): Content[] {
    this.#told.clear();
    return this.since(contents).contents;
  }

  /** Those that are new or other than they were told, and the roots of those that are gone. */
  since(contents: readonly Content[]): { contents: Content[]; gone: Root[] } {
    const changed: Content[] = [];
    const left = new Set(this.#told.keys());
    for (const content of contents) {
      const { root } = content.metadata;
      left.delete(root);
      const now = inShort(content);
      if (this.#told.get(root) === now) continue;
      this.#told.set(root, now);
      changed.push(withoutHashes(content));
    }
    for (const root of left) this.#told.delete(root);
    return { contents: changed, gone: [...left] };
  }
}

/** Pieces only ever come, until the content goes: their number tells. */
function inShort(content: Content): string {
  const { kind, name, manifest, primary, ranges, metadata, have } = content;
  const pieces = new PieceSet(pieceCount(metadata.sizeBytes), have).count;
  const [{ path, offset } = { path: "", offset: 0 }] = ranges;
  return [kind, primary, pieces, path, offset, manifest, name].join("\0");
}

function withoutHashes(content: Content): Content {
  const { metadata } = content;
  const pieceHashes = new Uint8Array(0);
  return { ...content, metadata: { ...metadata, pieceHashes } };
}
