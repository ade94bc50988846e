/**
 * Whom of the members a node keeps a connection to, so that the swarm hangs together without its rendezvous. The next two on the ring of ids
 * (so that everybody is somebody's next, and the ring has no gap), and random ones (so that the way to anybody is short). Pure.
 */

export const MESH = Object.freeze({
  /** Two neighbouring nodes may die at once and the ring holds. */
  successors: 2,
  /** Below this many connections to members, random ones are added. Those whose next this node is dial it besides. */
  atLeast: 6,
});

/** Ids of Ed25519 keys begin alike and end at random. */
const RING_CHARACTERS = 16;

/** Members to dial, of those that are not connected. */
export function neighboursToDial(
  self: string,
  members: Iterable<string>,
  isConnected: (peer: string) => boolean,
  random: () => number,
): string[] {
  const others = [...new Set(members)].filter((peer) => peer !== self);
  const wanted = new Set(successors(place(self), others));
  const dial = [...wanted].filter((peer) => !isConnected(peer));
  const strangers: string[] = [];
  let connected = dial.length;
  for (const peer of others) {
    if (isConnected(peer)) connected++;
    else if (!wanted.has(peer)) strangers.push(peer);
  }
  for (; connected < MESH.atLeast && strangers.length > 0; connected++) {
    const [chosen] = strangers.splice(
      Math.floor(random() * strangers.length),
      1,
    );
    if (chosen !== undefined) dial.push(chosen);
  }
  return dial;
}

function place(peer: string): string {
  return peer.slice(-RING_CHARACTERS);
}

/** The first on the ring after `here`; behind its end comes its beginning. */
function successors(here: string, peers: readonly string[]): string[] {
  const after: string[] = [];
  const first: string[] = [];
  for (const peer of peers) keepFirst(place(peer) > here ? after : first, peer);
  return [...after, ...first].slice(0, MESH.successors);
}

function keepFirst(best: string[], peer: string): void {
  const at = best.findIndex((other) => place(peer) < place(other));
  if (at !== -1) best.splice(at, 0, peer);
  else best.push(peer);
  if (best.length > MESH.successors) best.pop();
}
