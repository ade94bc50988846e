/**
 * Which members a node keeps connections to, so that the cluster stays connected without its rendezvous: the next two on the ring of ids,
 * so that the ring has no gap, and random ones, so that paths are short. Pure.
 */

export const MESH = Object.freeze({
  /** The ring holds if two neighbouring nodes die at once. */
  successors: 2,
  /** Below this many connections to members, random ones are added. The previous nodes on the ring dial this one too. */
  atLeast: 6,
});

/** Ids of Ed25519 keys begin alike and end at random. */
const RING_CHARACTERS = 16;

/** Members to dial among those that are not connected. */
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

/** The first on the ring after `here`; after its end comes its beginning. */
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
