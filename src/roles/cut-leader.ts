/**
 * Leads one change of the cut: asks the nodes whose layers change, one after the other, to load their new stage beside the old one. When the
 * last is ready the new cut is in force, and each node frees its old range by itself. What was reached is in the announcements only.
 */
import {
  type Announcement,
  LOAD_SHARD,
  type LoadShardRequest,
  type Membership,
  type ToldCut,
} from "../cluster/index.ts";
import { abortable, type EventSink, ShoalError, sleep } from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import {
  type Cut,
  type CutPlan,
  sameCut,
  toldCut,
} from "../placement/index.ts";
import type { ServedModel } from "../weights/index.ts";
import type { ModelSwarm } from "./model-swarm.ts";

export interface CutLeaderOptions {
  /** This node. */
  peer: string;
  cluster: string;
  model: ServedModel;
  swarm: ModelSwarm;
  membership: Membership;
  commands: Commands;
  /** As a member is asked, this node asks itself. */
  accept: (request: LoadShardRequest & { cut: ToldCut }) => Promise<void>;
  events: EventSink;
  signal: AbortSignal;
}

const LEAD = Object.freeze({
  /** An accepted stage is announced at once; its record takes a second. */
  claimMs: 15_000,
  /** Gigabytes over a slow line. Whoever is still at it then keeps all others from moving. */
  loadMs: 3_600_000,
  /** It is loading something else, such as a standby. Together less than the time after which others give up. */
  busyTries: 3,
  busyMs: 15_000,
  lookMs: 500,
});

export class CutLeader {
  readonly #options: CutLeaderOptions;

  constructor(options: CutLeaderOptions) {
    this.#options = options;
  }

  /** Resolves once the cut is in force; rejects with what failed, and then nodes give back what they loaded. */
  async change({ members, now }: CutPlan, target: Cut): Promise<void> {
    for (const [index, range] of target.ranges.entries()) {
      const before = now.ranges[index];
      const isSame =
        before?.layerStart === range.layerStart &&
        before.layerEnd === range.layerEnd;
      if (isSame) continue;
      for (const { peer } of members[index] ?? []) {
        await this.#ask(peer, index, target);
        await this.#untilReady(peer, index, target);
      }
    }
    const { swarm } = this.#options;
    await this.#until(LEAD.claimMs, "the new cut to be in force", () =>
      sameCut(swarm.now().cut, target),
    );
  }

  async #ask(peer: string, index: number, target: Cut): Promise<void> {
    const { cluster, model, commands, signal } = this.#options;
    const range = target.ranges[index];
    const cut = toldCut(target);
    if (range === undefined || cut === undefined)
      throw new ShoalError(
        "INTERNAL",
        `cut ${target.version} has no stage ${index}`,
      );
    const request = {
      cluster,
      manifest: model.id,
      shard: { index, count: target.ranges.length },
      ...range,
      cut,
    };
    if (peer === this.#options.peer) {
      await this.#options.accept(request);
      return;
    }
    for (let tries = 1; ; tries++) {
      const [holder] = this.#recordsOf(peer);
      const at = { peerId: peer, addresses: holder?.addresses ?? [] };
      const { accepted, code, reason } = await abortable(
        commands.call(at, LOAD_SHARD.name, request, LOAD_SHARD.result),
        signal,
      );
      if (accepted) return;
      if (code !== "BUSY" || tries >= LEAD.busyTries)
        throw new ShoalError(
          "MOVE_REFUSED",
          `…${peer.slice(-8)} does not load layers ${range.layerStart}-${range.layerEnd - 1}: ${reason ?? code ?? "no reason"}`,
          { peer },
        );
      await sleep(LEAD.busyMs, signal);
    }
  }

  async #untilReady(peer: string, index: number, target: Cut): Promise<void> {
    const range = target.ranges[index];
    const find = (): Announcement | undefined =>
      this.#recordsOf(peer).find(
        (a) =>
          a.layerStart === range?.layerStart && a.layerEnd === range.layerEnd,
      );
    const name = `…${peer.slice(-8)} to load its stage`;
    await this.#until(LEAD.claimMs, name, () => find() !== undefined);
    await this.#until(LEAD.loadMs, name, () => {
      const record = find();
      if (record === undefined)
        throw new ShoalError(
          "MOVE_REFUSED",
          `…${peer.slice(-8)} left, or could not load its stage`,
          { peer },
        );
      return record.state === "ready";
    });
  }

  async #until(
    forMs: number,
    what: string,
    holds: () => boolean,
  ): Promise<void> {
    const endMs = performance.now() + forMs;
    while (!holds()) {
      if (performance.now() > endMs)
        throw new ShoalError("DEADLINE", `waited in vain for ${what}`);
      await sleep(LEAD.lookMs, this.#options.signal);
    }
  }

  #recordsOf(peer: string): Announcement[] {
    return this.#options.membership
      .announcements()
      .filter((a) => a.peer === peer);
  }
}
