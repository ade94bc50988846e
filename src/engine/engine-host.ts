/**
 * The process that computes a node's shards: started with the first one, ended with the last. Stages of one process that follow each other in
 * a session hand their frames over in memory.
 */
import { type Frame, Kind, Op } from "./channel.ts";
import { EngineProcess, type EngineProcessOptions } from "./engine-process.ts";

/** A shard that does not unload within this time is inside a long decode; it ends with the process at the latest. */
const UNLOAD_MS = 65_000;

export class EngineHost {
  readonly #options: Omit<EngineProcessOptions, "onMessage">;
  readonly #stages = new Map<number, (frame: Frame) => void>();
  #process: EngineProcess | undefined;
  /** Stages that this process has, or is to load. */
  #inUse = new Set<number>();
  #lastId = 0;

  /** Without `sockets` it uses node's event loop, as where there are no sockets to poll, and has no data connections. */
  constructor(options: Omit<EngineProcessOptions, "onMessage"> = {}) {
    this.#options = options;
  }

  /** A number for one more stage, whose frames and events go to `onMessage`. */
  attach(onMessage: (frame: Frame) => void): number {
    const id = this.#lastId++;
    this.#stages.set(id, onMessage);
    return id;
  }

  /** The process in which that stage is to be loaded, started if there is none. */
  running(id: number): EngineProcess {
    if (this.#process?.alive !== true) {
      this.#process = new EngineProcess({
        ...this.#options,
        onMessage: (frame) => this.#dispatch(frame),
      });
      this.#inUse = new Set();
    }
    this.#inUse.add(id);
    return this.#process;
  }

  /** Unloads a stage, which may be loaded again. Without any the process ends. */
  async unload(id: number): Promise<void> {
    this.#inUse.delete(id);
    const process = this.#process;
    if (process === undefined) return;
    if (this.#inUse.size === 0) {
      this.#process = undefined;
      await process.stop();
    } else
      await process
        .requestJson(Op.UnloadStage, { stage: id }, { timeoutMs: UNLOAD_MS })
        .catch(() => {}); // a process that died has unloaded everything
  }

  /** Unloads a stage for good. */
  async detach(id: number): Promise<void> {
    this.#stages.delete(id);
    await this.unload(id);
  }

  /** A frame is for the stage that it names; an event for all: each knows its own sessions and links. */
  #dispatch(frame: Frame): void {
    if (frame.op === Kind.Frame)
      this.#stages.get(
        Buffer.from(frame.body.buffer, frame.body.byteOffset, 4).readUInt16LE(
          2,
        ),
      )?.(frame);
    else for (const onMessage of this.#stages.values()) onMessage(frame);
  }
}
