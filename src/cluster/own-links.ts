/** A node's links, as its announcements name them: whom it is connected to, and how far away they are. Pure. */
import type { ConnectionInfo } from "../network/index.ts";
import { type Announcement, LINKS } from "./announcement.ts";

/** A time is announced anew if it changed by more than both: less hardly makes another route the better one. */
const TIME_CHANGE = Object.freeze({ share: 0.1, ms: 2 });

export interface OwnLink {
  peer: string;
  /** In tenths of a millisecond; 0 is unknown. */
  roundTrip: number;
}

/** If they are too many, the neighbours in the ring of a session first. */
export function linksOf(
  connections: readonly Pick<ConnectionInfo, "peer" | "leastRttMs">[],
  isNeighbour: (peer: string) => boolean,
): OwnLink[] {
  const links = [...Map.groupBy(connections, ({ peer }) => peer)].map(
    ([peer, open]) => {
      const known = open.flatMap(({ leastRttMs }) => leastRttMs ?? []);
      return { peer, roundTrip: tenths(Math.min(...known)) };
    },
  );
  if (links.length <= LINKS.max) return links;
  const neighbours = links.filter(({ peer }) => isNeighbour(peer));
  return [...new Set([...neighbours, ...links])].slice(0, LINKS.max);
}

/** Whether one of these takes another time than announced, or was announced without one. */
export function haveChanged(
  links: readonly OwnLink[],
  {
    links: names = [],
    roundTrips = [],
  }: Pick<Announcement, "links" | "roundTrips">,
): boolean {
  return links.some(({ peer, roundTrip }) => {
    const said = roundTrips[names.indexOf(peer.slice(-LINKS.characters))];
    return isChange((said ?? 0) / 10, roundTrip / 10);
  });
}

/** Of a time in milliseconds; 0 is unknown. */
export function isChange(saidMs: number, ms: number): boolean {
  if (saidMs === 0 || ms === 0) return ms !== 0;
  const most = Math.max(TIME_CHANGE.ms, TIME_CHANGE.share * saidMs);
  return Math.abs(ms - saidMs) > most;
}

function tenths(ms: number): number {
  if (!Number.isFinite(ms)) return 0;
  return Math.min(LINKS.maxRoundTrip, Math.max(1, Math.round(ms * 10)));
}
