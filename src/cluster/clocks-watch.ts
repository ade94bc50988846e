/** Tells the operator when the clocks of a cluster's machines are too far apart, and when they agree again: once for each change. */
import type { EventSink } from "../lib/index.ts";
import { type ClockVerdict, clocksText } from "./clocks.ts";
import type { KnownCluster } from "./known-cluster.ts";

export class ClocksWatch {
  readonly #known: Pick<KnownCluster, "name" | "clocks">;
  readonly #events: EventSink;
  #told = "";

  constructor(known: Pick<KnownCluster, "name" | "clocks">, events: EventSink) {
    this.#known = known;
    this.#events = events;
  }

  /** Call it every few seconds. */
  look(): void {
    const verdict = this.#known.clocks();
    const who = whoIsOff(verdict);
    if (who === this.#told) return;
    this.#told = who;
    const cluster = this.#known.name;
    const text = clocksText(verdict, "this machine");
    if (text === undefined) {
      this.#events.info("CLUSTER", "the clocks agree again", { cluster });
      return;
    }
    const { own, others } = verdict;
    this.#events.warn("CLUSTER", text, {
      cluster,
      code: "CLOCK_SKEW",
      aheadMs: own ?? others[0]?.aheadMs,
      peer: own === undefined ? others[0]?.peer : undefined,
    });
  }
}

/** How far is no news. */
function whoIsOff({ own, others }: ClockVerdict): string {
  if (own !== undefined) return "own";
  return others
    .map(({ peer }) => peer)
    .sort()
    .join();
}
