/** How often and to how many members tell each other what changed. */
export const GOSSIP = Object.freeze({
  /** Neighbours that get a whole change at once. With three, it reaches a thousand nodes in seven steps. */
  eagerFanout: 3,
  /** The same for a record that is new here: it is four times as long as a difference, and nobody computes with it yet. */
  newFanout: 1,
  /** The same for a node's own change, because a node that said goodbye cannot be asked any more. */
  ownFanout: 8,
  /** Neighbours that get the digests of what is not urgent. The exchange of everything reaches the others. */
  lazyFanout: 4,
  /** A renewal has 40 s to reach everybody: some ten of these steps, or a few and an exchange of everything. */
  lazyMs: 1_000,
  /** A lost message is repaired after this time, or after a few of these. */
  syncMs: 10_000,
  /** The grace of a suspect. QUIC notices a lost connection after 3.75 s at most: together less than 5 s. */
  graceMs: 1_000,
  /**
   * A suspicion may name a record that this node has not heard of, but none numbered further above the last one: by as much as its peer's
   * clock may have been set back since. Nothing could refute a number that none is above.
   */
  suspectAhead: 10 * 60_000,
  /** A requested record that did not arrive is requested elsewhere after this time. */
  askedMs: 2_000,
  /** A member with more neighbours sends less often, this long per neighbour: at most 500 messages a second. */
  perNeighbourMs: 2,
  promptNeighbours: 16,
});
