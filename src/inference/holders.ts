/** Holders as candidates for a route: what they announce, and what this gateway itself has running there. */
import type { Announcement } from "../cluster/index.ts";
import type { Holder } from "../routing/index.ts";
import type { Capacity } from "./admission.ts";
import { pagedTokens } from "./kv-budget.ts";
import type { RouteStage } from "./route.ts";

export type Candidate = Holder & Pick<RouteStage, "addresses">;

/** Announcements come every 20 s; the gateway knows at once which of its own sessions run where. */
export class OwnSessions {
  readonly #running = new Map<string, number>();

  /** Returns the function that ends it. */
  begin(route: readonly RouteStage[]): () => void {
    const keys = route.map(keyOf);
    for (const key of keys) this.#add(key, 1);
    return () => {
      for (const key of keys.splice(0)) this.#add(key, -1);
    };
  }

  /** For a session of so many tokens. */
  candidate(a: Announcement, tokens: number): Candidate {
    const { peer, layerStart, layerEnd, addresses, sessions, msPerToken } = a;
    const running = Math.max(sessions.active, this.#running.get(keyOf(a)) ?? 0);
    const isFull = pagedTokens(tokens) > (a.kvTokens?.free ?? Infinity);
    const active = isFull ? Math.max(running, sessions.max) : running;
    return {
      peer,
      layerStart,
      layerEnd,
      addresses,
      sessions: { active, max: sessions.max },
      msPerToken,
      links: a.links,
      roundTripsMs: a.roundTrips?.map((tenths) => tenths / 10),
    };
  }

  #add(key: string, count: number): void {
    const running = (this.#running.get(key) ?? 0) + count;
    if (running > 0) this.#running.set(key, running);
    else this.#running.delete(key);
  }
}

function keyOf({
  peer,
  layerStart,
  layerEnd,
}: Pick<RouteStage, "peer" | "layerStart" | "layerEnd">): string {
  return `${peer} ${layerStart} ${layerEnd}`;
}

/** What fits at the layer range that has least, the holders of each together. */
export function capacityOf(holders: readonly Announcement[]): Capacity {
  if (holders.length === 0) return { sessions: 0, tokens: 0 };
  const groups = [
    ...Map.groupBy(holders, (a) => `${a.layerStart}-${a.layerEnd}`).values(),
  ];
  const least = (of: (a: Announcement) => number): number =>
    Math.min(
      ...groups.map((group) => group.reduce((sum, a) => sum + of(a), 0)),
    );
  return {
    sessions: least((a) => a.sessions.max),
    tokens: least((a) => a.kvTokens?.total ?? a.sessions.max * a.contextLength),
  };
}
