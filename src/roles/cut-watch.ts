/**
 * Watches whether another cut would be better for the machines as they are (`src/placement` reckons), shows it, and, on the node that leads,
 * begins the change when it has been worth it for long enough.
 */
import type {
  Announcement,
  LoadShardRequest,
  Membership,
  ToldCut,
} from "../cluster/index.ts";
import {
  compare,
  formatMs,
  type EventSink,
  ShoalError,
  sleep,
} from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import {
  coverageOf,
  type Cut,
  type CutPlan,
  isClaim,
  isDue,
  MOVE,
  type MoveHistory,
  NO_MOVES,
  planCut,
  seeGain,
  seeNow,
  steady,
  turnOf,
} from "../placement/index.ts";
import type { PlanStatus } from "../status/index.ts";
import type { ServedModel } from "../weights/index.ts";
import { CutFollower } from "./cut-follower.ts";
import { CutLeader } from "./cut-leader.ts";
import type { ModelSwarm, SwarmNow } from "./model-swarm.ts";
import type { MoveConsent } from "./move-consent.ts";
import type { NodeShards } from "./node-shards.ts";
import { planStatus } from "./plan-status.ts";
import type { SetAside } from "./set-aside.ts";

export interface CutWatchOptions {
  /** This node. */
  peer: string;
  cluster: string;
  model: ServedModel;
  swarm: ModelSwarm;
  membership: Membership;
  commands: Commands;
  shards: NodeShards;
  setAside: Pick<SetAside, "has">;
  consent: MoveConsent;
  /** A better cut must last for so long. */
  moveAfterMs: number;
  /** Takes a shard where none is left. */
  settle: () => Promise<void>;
  freeMemoryBytes: () => number;
  events: EventSink;
  signal: AbortSignal;
}

const WATCH = Object.freeze({
  lookMs: 2_000,
  /** After a change that failed, and twice as long after the next. */
  failedMs: 600_000,
});

export class CutWatch {
  readonly #options: CutWatchOptions;
  readonly #follower: CutFollower;
  readonly #leader: CutLeader;
  #history: MoveHistory = NO_MOVES;
  #plan: CutPlan | { reason: string } = { reason: "the node has just begun" };
  #plannedMs: number | undefined;
  #leading: Promise<void> | undefined;
  #restsUntilMs = 0;
  #failures = 0;
  #said = "";

  constructor(options: CutWatchOptions) {
    this.#options = options;
    const { consent, events } = options;
    this.#follower = new CutFollower({
      ...options,
      mayMove: () => consent.announced === "auto",
      onMoved: () => {
        consent.used().catch((error: unknown) => {
          const { code, message } = ShoalError.from(error);
          const what = `the agreement to move could not be removed: ${message}`;
          events.warn("CLUSTER", what, { code });
        });
      },
    });
    this.#leader = new CutLeader({
      ...options,
      accept: (request) => this.accept(request),
    });
  }

  /** Until the signal; then waits for what it began. */
  async watch(): Promise<void> {
    const { signal, events, consent } = this.#options;
    while (!signal.aborted) {
      try {
        await consent.refresh();
        this.#look();
      } catch (error) {
        if (signal.aborted) break;
        const { code, message } = ShoalError.from(error);
        events.error("CLUSTER", `cannot watch the cut: ${message}`, { code });
      }
      await sleep(WATCH.lookMs, signal).catch(() => {});
    }
    await this.#leading;
    await this.#follower.stop();
  }

  async accept(request: LoadShardRequest & { cut: ToldCut }): Promise<void> {
    await this.#follower.accept(request);
  }

  /** For people. */
  status(): PlanStatus {
    const { worthMs, restsUntilMs, sessions } = this.#history;
    const restsMs =
      Math.max(restsUntilMs, this.#restsUntilMs) - performance.now();
    return planStatus({
      ...this.#options,
      now: this.#options.swarm.now(),
      plan: this.#plan,
      sessions,
      worthMs,
      restsMs: Math.max(0, restsMs),
    });
  }

  #look(): void {
    const now = this.#options.swarm.now();
    const nowMs = performance.now(); // not the system's clock: that may be set
    this.#follower.look(now, nowMs);
    if (nowMs - (this.#plannedMs ?? -Infinity) < MOVE.lookMs) return;
    this.#plannedMs = nowMs;
    const sessions = sessionsAtOnce(now);
    const { moveAfterMs: afterMs } = this.#options;
    const holders = now.announcements.filter(
      (a) => a.manifest === now.manifest,
    );
    this.#history = seeNow(this.#history, {
      nowMs,
      key: keyOf(now),
      version: now.cut.version,
      sessions,
      afterMs,
      holders,
    });
    this.#plan = planCut({
      ...now,
      announcements: holders.map((a) => steady(a, this.#history)),
      model: this.#options.model.manifest,
      sessionsAtOnce: this.#history.sessions,
    });
    const plan = "gain" in this.#plan ? this.#plan : undefined;
    this.#history = seeGain(this.#history, plan);
    this.#lead(now, nowMs);
  }

  #lead(now: SwarmNow, nowMs: number): void {
    const { moveAfterMs } = this.#options;
    const plan = this.#plan;
    if (this.#leading !== undefined || nowMs < this.#restsUntilMs) return;
    if (!("better" in plan) || !isDue(this.#history, moveAfterMs)) return;
    if (isUnderWay(now) || !this.#isLeader(now)) return;
    const asked = changedMembers(plan).filter(({ move }) => move !== "auto");
    const gain = `${formatMs(plan.now.msPerToken)} a token now, ${formatMs(plan.better.msPerToken)} expected`;
    if (asked.length > 0) {
      this.#sayAsked(asked, gain);
      return;
    }
    this.#said = "";
    const target: Cut = {
      version: now.cut.version + 1,
      ranges: plan.better.ranges,
    };
    this.#leading = this.#change(plan, target, gain).finally(() => {
      this.#leading = undefined;
    });
  }

  async #change(plan: CutPlan, target: Cut, gain: string): Promise<void> {
    const { events, signal } = this.#options;
    const { version } = target;
    const stages = target.ranges.map(
      (r) => `${r.layerStart}-${r.layerEnd - 1}`,
    );
    const fields = { version, stages: stages.join(", ") };
    events.info("CLUSTER", `moving the cut: ${gain}`, fields);
    const startedMs = performance.now();
    try {
      await this.#leader.change(plan, target);
      this.#failures = 0;
      const took = formatMs(performance.now() - startedMs);
      events.info("CLUSTER", `the cut has moved`, { version, took });
    } catch (error) {
      if (signal.aborted) return;
      this.#restsUntilMs =
        performance.now() + WATCH.failedMs * 2 ** this.#failures++;
      const { code, message } = ShoalError.from(error);
      const what = `the cut has not moved: ${message}`;
      events.warn("CLUSTER", what, { code, version });
    }
  }

  /** Of the nodes that move, the first; it leads whether its own operator has agreed or not. */
  #isLeader({ announcements, cut, manifest }: SwarmNow): boolean {
    const movers = announcements.filter(
      (a) =>
        a.manifest === manifest && a.state === "ready" && a.move !== undefined,
    );
    const [first] = movers
      .map(({ peer }) => turnOf(peer, cut.version))
      .toSorted(compare);
    return first === turnOf(this.#options.peer, cut.version);
  }

  /** Once: the times in it change at every look. */
  #sayAsked(asked: readonly { peer: string }[], gain: string): void {
    const names = asked.map(({ peer }) => `…${peer.slice(-8)}`).join(", ");
    if (names === this.#said) return;
    this.#said = names;
    this.#options.events.info(
      "CLUSTER",
      `a better cut waits for the operators of ${names}: ${gain}; \`shoal plan --agree\` on those machines agrees`,
    );
  }
}

/** A change, a load, or a departure. */
function isUnderWay({
  announcements,
  manifest,
  cut,
  otherCuts,
}: SwarmNow): boolean {
  return (
    otherCuts.some(({ version }) => version > cut.version) ||
    announcements.some(
      (a) => a.manifest === manifest && (isClaim(a) || a.state === "draining"),
    )
  );
}

function changedMembers({
  members,
  now,
  better,
}: CutPlan): { peer: string; move?: Announcement["move"] }[] {
  return members
    .filter((_, i) => {
      const [before, after] = [now.ranges[i], better.ranges[i]];
      return (
        before?.layerStart !== after?.layerStart ||
        before?.layerEnd !== after?.layerEnd
      );
    })
    .flat();
}

/** Of the busiest stage, all its nodes together. */
function sessionsAtOnce(now: SwarmNow): number {
  const ofStages = coverageOf(now).map(({ ready }) =>
    ready.reduce((sum, a) => sum + a.sessions.active, 0),
  );
  return Math.max(0, ...ofStages);
}

/** Who holds what of the cut in force: while that changes, nothing is compared. */
function keyOf({ announcements, manifest, cut }: SwarmNow): string {
  const holders = announcements
    .filter((a) => a.manifest === manifest && a.takenOver !== true)
    .map((a) => `${a.peer} ${a.layerStart}-${a.layerEnd} ${a.state}`);
  return [cut.version, ...holders.toSorted(compare)].join("\n");
}
