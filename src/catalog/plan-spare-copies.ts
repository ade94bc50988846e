/**
 * Which parts of a model a member with spare disk should keep for the others. Pure: each member computes its own answer from what everybody
 * sees.
 *
 * It copies parts with too few copies, the rarest first. A copy that is downloading counts, so that few download the same. Among equally
 * rare parts each member begins at another: the order is by a hash of member and part. It drops parts only to make room: a part with more
 * copies than wanted is dropped by as many of its spare holders as there are excess copies, again by hash, so that two members that decide
 * at the same time do not both drop the last but one.
 */
import { createHash } from "node:crypto";
import { pieceCount, type Root } from "../store/index.ts";

/** A part of the model, whether anybody has it or not. */
export interface KnownPart {
  root: Root;
  sizeBytes: number;
  holders: readonly { peer: string; whole: boolean; spare: boolean }[];
}

export interface SpareCopiesInput {
  /** This member's transfers, as holders are named. */
  self: string;
  /** Wanted copies of each part. */
  target: number;
  parts: readonly KnownPart[];
  /** The parts in this member's spare folder, whole or downloading. */
  kept: ReadonlySet<Root>;
  /** Offered and unused bytes; below 0 if the limit was lowered. */
  freeBytes: number;
  /** How many downloads to begin now. */
  atOnce: number;
}

export interface SpareCopiesPlan {
  /** In this order; there is room after `drop`. */
  copy: Root[];
  drop: Root[];
  /** Parts with fewer whole copies than wanted, the rarest first. */
  underTarget: Root[];
}

/** The most spare disk that a part takes: its bytes, and while it downloads the state of its pieces. */
export function spareCost(sizeBytes: number): number {
  return sizeBytes + 64 * pieceCount(sizeBytes) + 4096;
}

export function planSpareCopies(input: SpareCopiesInput): SpareCopiesPlan {
  const { self, target, parts, kept, atOnce } = input;
  const byRarity = parts.toSorted(
    (a, b) =>
      copies(a) - copies(b) ||
      a.holders.length - b.holders.length ||
      rank(self, a.root) - rank(self, b.root),
  );
  const mine = byRarity.filter(({ root }) => kept.has(root)).toReversed();
  const drop: Root[] = [];
  let free = input.freeBytes;
  const dropOne = (part: KnownPart): number => {
    drop.push(part.root);
    return spareCost(part.sizeBytes);
  };
  // The limit was lowered: the most abundant parts go.
  for (const part of mine) if (free < 0) free += dropOne(part);
  const spared = mine.filter(
    (part) => !drop.includes(part.root) && mayDrop(part, self, target),
  );
  const copy: Root[] = [];
  for (const part of byRarity) {
    if (copy.length >= atOnce) break;
    if (part.holders.length >= target || kept.has(part.root)) continue;
    if (part.holders.some(({ peer }) => peer === self)) continue;
    const cost = spareCost(part.sizeBytes);
    const room = spared.reduce((sum, p) => sum + spareCost(p.sizeBytes), free);
    if (cost > room) continue; // a smaller one may fit
    while (cost > free) {
      const next = spared.shift();
      if (next === undefined) break;
      free += dropOne(next);
    }
    copy.push(part.root);
    free -= cost;
  }
  const underTarget = byRarity
    .filter((part) => copies(part) < target)
    .map(({ root }) => root);
  return { copy, drop, underTarget };
}

function copies({ holders }: KnownPart): number {
  return holders.filter(({ whole }) => whole).length;
}

/** There are excess copies, and this member's is one of them. */
function mayDrop(part: KnownPart, self: string, target: number): boolean {
  const excess = copies(part) - target;
  const spare = part.holders
    .filter((holder) => holder.whole && holder.spare)
    .toSorted((a, b) => rank(a.peer, part.root) - rank(b.peer, part.root));
  const index = spare.findIndex(({ peer }) => peer === self);
  return index >= 0 && index < excess;
}

/** A number that no two members share for the same part. */
function rank(peer: string, root: Root): number {
  return createHash("sha256")
    .update(`${peer} ${root}`)
    .digest()
    .readUIntBE(0, 6);
}
