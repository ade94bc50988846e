/**
 * Whether a shard's record is still true enough to be renewed with a few bytes. Load changes all the time: it counts where it makes another
 * route or another place the better one. Pure.
 */
import { isDeepStrictEqual } from "node:util";
import { type Announcement, LINKS } from "./announcement.ts";
import { isChange, type OwnLink } from "./own-links.ts";

const COARSE = Object.freeze({
  /** Of all sessions, of all keys and values, of a download. */
  share: 0.25,
  /** Of the memory that a node offers. */
  memory: 0.1,
  /** Of the links that are announced: fewer that are still there make another picture. */
  links: 0.5,
});

/** What may change untold, or is looked at with a measure. */
const CHANGING = new Set([
  "msPerToken",
  "memoryBytes",
  "links",
  "roundTrips",
  "renewal",
  "seq",
  "issuedMs",
]);

/** `said` is the record, `now` what it would say, `beside` the links to those that hold the layers before and after. */
export function isStillTrue(
  said: Announcement,
  now: Announcement,
  beside: readonly OwnLink[],
): boolean {
  return (
    isDeepStrictEqual(lasting(said), lasting(now)) &&
    isSameLoad(said, now) &&
    !isChange(said.msPerToken ?? 0, now.msPerToken ?? 0) &&
    hasLinks(said, now, beside)
  );
}

/** What never changes without being told. */
function lasting(announcement: Announcement): object {
  const {
    sessions: { max },
    kvTokens,
    capacity,
    progress,
    ...rest
  } = announcement;
  const fields = Object.entries(rest).filter(
    ([name, value]) => value !== undefined && !CHANGING.has(name),
  );
  return {
    ...Object.fromEntries(fields),
    max,
    total: kvTokens?.total,
    memory: capacity?.memoryBytes,
    threads: capacity?.threads,
    size: progress?.sizeBytes,
  };
}

function isSameLoad(said: Announcement, now: Announcement): boolean {
  const { sessions, kvTokens, capacity, progress, memoryBytes } = now;
  const offered = capacity?.memoryBytes ?? 0;
  const pairs: [was: number, is: number, of: number, share: number][] = [
    [said.sessions.active, sessions.active, sessions.max, COARSE.share],
    [
      said.kvTokens?.free ?? 0,
      kvTokens?.free ?? 0,
      kvTokens?.total ?? 0,
      COARSE.share,
    ],
    [
      said.progress?.doneBytes ?? 0,
      progress?.doneBytes ?? 0,
      progress?.sizeBytes ?? 0,
      COARSE.share,
    ],
    [
      said.capacity?.freeMemoryBytes ?? 0,
      capacity?.freeMemoryBytes ?? 0,
      offered,
      COARSE.memory,
    ],
    [said.memoryBytes ?? 0, memoryBytes ?? 0, offered, COARSE.memory],
  ];
  return (
    pairs.every(([was, is, of, share]) => Math.abs(is - was) <= share * of) &&
    isFree(said) === isFree(now)
  );
}

/** Whether it takes another session. */
function isFree({ sessions, kvTokens }: Announcement): boolean {
  return sessions.active < sessions.max && kvTokens?.free !== 0;
}

function hasLinks(
  { links: said = [] }: Announcement,
  { links: now = [] }: Announcement,
  beside: readonly OwnLink[],
): boolean {
  const names = beside.map(({ peer }) => peer.slice(-LINKS.characters));
  if (!names.every((name) => said.includes(name))) return false;
  const left = said.filter((name) => now.includes(name)).length;
  return left >= COARSE.links * Math.max(said.length, now.length);
}
