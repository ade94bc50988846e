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
import { ExtraShards } from "./extra-shards.ts";
import { ModelSwarm } from "./model-swarm.ts";
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
      const planned = planOf(model, node.shard);
      await shards.claim(planned, model.mode);
      await shards.fetch(model, planned);
    }
    if (takesMore(node)) this.#takeMore(model, swarm);
  }

  /** After its own shard was given up; not where it holds others. */
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
      this.#takeMore(model, this.#swarmOf(model));
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = ShoalError.from(error);
      events.warn("SHARD", `takes no other shard: ${message}`, { code });
    }
  }

  /** A member asks for a shard. Throws BUSY and what ExtraShards.accept does. */
  async accept({ manifest, shard }: LoadShardRequest): Promise<void> {
    if (this.#extra === undefined) {
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
