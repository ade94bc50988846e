/**
 * Which shards a node takes: the one that its operator named or the one that the cluster needs most, and then others beside it. All of them
 * are of the model that the cluster serves, which has to be known first.
 */
import {
  type LoadShardRequest,
  type Membership,
  refuseOtherMode,
} from "../cluster/index.ts";
import { type EventSink, ShoalError } from "../lib/index.ts";
import { refuseOlderEngine } from "../model/index.ts";
import type { Commands } from "../network/index.ts";
import {
  type MemberFiles,
  planOf,
  type ServedModel,
  servedModel,
} from "../weights/index.ts";
import { MOVE } from "../placement/index.ts";
import type { PlanStatus } from "../status/index.ts";
import { CutWatch } from "./cut-watch.ts";
import { ExtraShards } from "./extra-shards.ts";
import { ModelSwarm } from "./model-swarm.ts";
import type { MoveConsent } from "./move-consent.ts";
import { keepsStandbys, type NodeOptions } from "./node-options.ts";
import type { NodeShards } from "./node-shards.ts";
import { Placement } from "./placement.ts";
import type { SetAside } from "./set-aside.ts";

export interface ShardTakingOptions {
  /** This node. */
  peer: string;
  node: NodeOptions;
  commands: Commands;
  membership: Membership;
  files: MemberFiles;
  modelsDir: string;
  shards: NodeShards;
  setAside: SetAside;
  /** Whether its layers may change. */
  consent: MoveConsent;
  /** Of llama.cpp, as it computes here. */
  engineVersion: () => string;
  freeMemoryBytes: () => number;
  isMemoryShort: () => boolean;
  events: EventSink;
  signal: AbortSignal;
}

export class ShardTaking {
  readonly #options: ShardTakingOptions;
  /** Undefined until the first shard is there, and where the operator's is the only one. */
  #extra: ExtraShards | undefined;
  /** Takes a first shard; undefined until the model is known. */
  #settle: (() => Promise<void>) | undefined;
  #cut: CutWatch | undefined;

  constructor(options: ShardTakingOptions) {
    this.#options = options;
  }

  /** The named shard, or the one that the cluster needs most. Resolves when it is ready. */
  async takeFirst(): Promise<void> {
    const { node, shards } = this.#options;
    const model = await this.#servedModel();
    const swarm = this.#swarmOf(model);
    if (node.shard === undefined) {
      const placement = new Placement({ ...this.#options, model, swarm });
      this.#settle = () => placement.settle();
      await this.#settle();
    } else {
      const named = planOf(model, node.shard);
      // A number is a stage's, wherever the model is cut by now.
      const planned =
        "index" in node.shard
          ? swarm.planned(named.number.index, swarm.now().cut)
          : named;
      await shards.claim(planned, model.mode);
      await shards.fetch(model, planned);
    }
    if (takesMore(node)) this.#takeMore(model, swarm);
    this.#watchCut(model, swarm);
  }

  /** After its own shard was given up or given back; not where it holds others. */
  async takeAnother(): Promise<void> {
    const { shards, signal } = this.#options;
    if (shards.statuses().length > 0) return;
    try {
      await this.#settle?.();
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** A node that brought its shard needs the model only for others. */
  async takeMoreLater(): Promise<void> {
    const { node, events, signal } = this.#options;
    if (!takesMore(node)) return;
    try {
      const model = await this.#servedModel();
      const swarm = this.#swarmOf(model);
      this.#takeMore(model, swarm);
      this.#watchCut(model, swarm);
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = ShoalError.from(error);
      events.warn("SHARD", `takes no other shard: ${message}`, { code });
    }
  }

  /** The cluster's cut and the better one; null where this node does not look. */
  plan(): PlanStatus | null {
    return this.#cut?.status() ?? null;
  }

  /** A member asks for a shard. Throws BUSY and what CutFollower.accept and ExtraShards.accept do. */
  async accept(request: LoadShardRequest): Promise<void> {
    const { manifest, shard, cut } = request;
    if (cut !== undefined && this.#cut !== undefined) {
      await this.#cut.accept({ ...request, cut });
      return;
    }
    if (this.#extra === undefined || cut !== undefined) {
      throw new ShoalError(
        "BUSY",
        takesMore(this.#options.node)
          ? "this node has not found its first shard yet"
          : "this node's shard is fixed by its operator",
      );
    }
    await this.#extra.accept({ manifest, index: shard.index });
  }

  #takeMore(model: ServedModel, swarm: ModelSwarm): void {
    const standby = keepsStandbys(this.#options.node);
    this.#extra = new ExtraShards({ ...this.#options, model, swarm, standby });
    void this.#extra.watch();
  }

  #watchCut(model: ServedModel, swarm: ModelSwarm): void {
    const { cluster, moveAfterMs = MOVE.afterMs } = this.#options.node;
    this.#cut = new CutWatch({
      ...this.#options,
      cluster,
      model,
      swarm,
      moveAfterMs,
      settle: () => this.takeAnother(),
    });
    void this.#cut.watch();
  }

  async #servedModel(): Promise<ServedModel> {
    const model = await servedModel(this.#options);
    // Before gigabytes are fetched.
    refuseOlderEngine(
      model.manifest.architecture,
      this.#options.engineVersion(),
    );
    const { kv = model.mode.kv, batch = model.mode.batch } = this.#options.node;
    refuseOtherMode({ kv, batch }, model.mode);
    return model;
  }

  #swarmOf(model: ServedModel): ModelSwarm {
    const { membership, node } = this.#options;
    const { contextLength, sessions } = node;
    const wish = { contextLength, sessions, kv: model.mode.kv };
    return new ModelSwarm({ membership, model, wish });
  }
}

/** Whether a node holds other shards than its first. */
export function takesMore(node: NodeOptions): boolean {
  return node.shard === undefined || keepsStandbys(node);
}
