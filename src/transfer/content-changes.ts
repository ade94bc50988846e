/**
 * What changed in a list of contents since the last report. A seeder has thousands of contents, and while pieces arrive one or two change
 * many times a second. Piece hashes are left out, because only the verifying side needs them.
 */
import {
  PieceSet,
  pieceCount,
  type Content,
  type Root,
} from "../store/index.ts";

export class ContentChanges {
  /** A summary of what was reported for each. */
  #told = new Map<Root, string>();

  /** Everything, reported from here on. */
  all(contents: readonly Content[]): Content[] {
    this.#told.clear();
    return this.since(contents).contents;
  }

  /** New and changed contents, and the roots of removed ones. */
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

/** Pieces are only added until the content is removed, so their number suffices. */
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
