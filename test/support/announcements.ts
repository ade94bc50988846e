/** Members' announcements of their shards, for tests. */
import type { Announcement, OwnState } from "../../src/cluster/index.ts";
import type { HolderRecord } from "../../src/cluster/records.ts";

/** The first shard of `count`, two layers each, unless `changes` say otherwise. */
export function ownStateOf(
  changes: Partial<OwnState> = {},
  count = 4,
): OwnState {
  return {
    manifest: "m",
    model: "demo",
    layerCount: 2 * count,
    layerStart: 0,
    layerEnd: 2,
    shard: { index: 0, count },
    state: "ready",
    contextLength: 512,
    batchTokens: 128,
    sessions: { active: 0, max: 4 },
    version: "0",
    ...changes,
  };
}

export function announcementOf(
  changes: Partial<Announcement> = {},
): Announcement {
  return {
    ...ownStateOf(),
    v: 2,
    cluster: "friends",
    peer: "p",
    addresses: [],
    seq: 1,
    issuedMs: 1_000,
    ttlMs: 60_000,
    ...changes,
  };
}

/** As it is kept, sealed by nobody. */
export function recordOf(
  announcement: Announcement,
  bornMs: number = announcement.issuedMs,
): HolderRecord {
  return { announcement, sealed: { record: "", signature: "" }, bornMs };
}
