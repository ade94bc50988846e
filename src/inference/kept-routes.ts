/** Which nodes have computed what: a request that begins like an earlier one, or goes on after a loss, takes the route where that is kept. */
import { commonLength } from "../engine/index.ts";
import { planRoute, type RoutePlan } from "../routing/index.ts";
import type { Candidate } from "./holders.ts";

/** Shorter beginnings are computed as soon as they are found. */
const LEAST_TOKENS = 64;
/** Of all remembered requests together: 4 MiB. The oldest are forgotten. */
const MOST_TOKENS = 1 << 20;
/**
 * A route with what is kept is taken as long as a token takes no more than so many times that of the best one. A reply that goes on would stand
 * still while all of it is computed again, and what is measured on a busy machine differs by more than twice.
 */
export const MOST_SLOWER = Object.freeze({ begins: 1.5, goesOn: 4 });

interface KeptRoute {
  tokens: Int32Array;
  peers: ReadonlySet<string>;
}

export class KeptRoutes {
  /** The last one last. */
  #routes: KeptRoute[] = [];
  #tokens = 0;

  /** A session with these tokens has ended along `route`. */
  note(tokens: Int32Array, route: readonly { peer: string }[]): void {
    if (tokens.length < LEAST_TOKENS || tokens.length > MOST_TOKENS) return;
    const peers = new Set(route.map(({ peer }) => peer));
    this.#routes.push({ tokens, peers });
    this.#tokens += tokens.length;
    while (this.#tokens > MOST_TOKENS)
      this.#tokens -= this.#routes.shift()?.tokens.length ?? 0;
  }

  /** The nodes of the last session that had the most of these tokens' beginning; empty if none had. */
  nodesWith(tokens: Int32Array): ReadonlySet<string> {
    let best: ReadonlySet<string> = new Set();
    let most = LEAST_TOKENS;
    for (const route of this.#routes) {
      const length = commonLength(route.tokens, tokens);
      if (length < most) continue;
      most = length;
      best = route.peers;
    }
    return best;
  }
}

/** The best route, or one along the nodes `kept` that is not much slower. The first group with a route counts. */
export function planAlong(
  groups: readonly Candidate[][],
  layerCount: number,
  kept: ReadonlySet<string>,
  mostSlower: number,
): RoutePlan<Candidate> | undefined {
  for (const group of groups) {
    const best = planRoute(group, layerCount);
    if (best === undefined) continue;
    const along = planRoute(withoutOthers(group, kept), layerCount);
    return along !== undefined &&
      along.prediction.msPerToken <= mostSlower * best.prediction.msPerToken
      ? along
      : best;
  }
  return undefined;
}

/** Where one of `kept` has a range of layers with a free session, the others that have it are left out. */
function withoutOthers(
  group: readonly Candidate[],
  kept: ReadonlySet<string>,
): Candidate[] {
  const isKept = ({ peer, sessions }: Candidate): boolean =>
    kept.has(peer) && sessions.active < sessions.max;
  return group.filter(
    (one) =>
      isKept(one) ||
      !group.some(
        (other) =>
          isKept(other) &&
          other.layerStart === one.layerStart &&
          other.layerEnd === one.layerEnd,
      ),
  );
}
