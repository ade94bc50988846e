/** One session as the gateway sees it: a queue that frames fill and the pipeline empties, and the words for its errors. */
import { randomBytes } from "node:crypto";
import { ShoalError } from "../lib/index.ts";
import type { FrameHead, FrameType, PipelineFrame } from "../ring/index.ts";
import type { GenerateOptions } from "./pipeline.ts";
import { layersOf, type RouteStage } from "./route.ts";

export class GatewaySession {
  readonly id: string;
  readonly options: GenerateOptions;
  /** The prompt, and what was generated before this session. */
  readonly known: Int32Array;
  #queue: PipelineFrame[] = [];
  #error: ShoalError | undefined;
  #wake: (() => void) | undefined;

  constructor(options: GenerateOptions) {
    this.options = options;
    const { session, tokens, generated = [] } = options;
    this.id = session ?? newSessionId();
    this.known = Int32Array.from([...tokens, ...generated]);
  }

  push(frame: PipelineFrame): void {
    this.#queue.push(frame);
    this.#wake?.();
  }

  fail(error: ShoalError): void {
    this.#error ??= error;
    this.#wake?.();
  }

  /** The next frame; throws the session's error, or DEADLINE. Frames that came before a failure come first. */
  async next(timeoutMs: number, what: string): Promise<PipelineFrame> {
    if (this.#queue.length === 0 && this.#error === undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          this.#error ??= new ShoalError(
            "DEADLINE",
            `${what}: nothing arrived within ${timeoutMs} ms`,
            { timeoutMs },
          );
          resolve();
        }, timeoutMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    const frame = this.#queue.shift();
    if (frame !== undefined) return frame;
    throw (
      this.#error ??
      new ShoalError("INTERNAL", "session woke without a frame or an error")
    );
  }

  head(type: FrameType, stage: number): FrameHead {
    return {
      type,
      flags: 0,
      stage,
      position: 0,
      count: 0,
      elapsedUs: 0,
      session: this.id,
    };
  }
}

/** 32 hex digits, which nobody guesses. */
export function newSessionId(): string {
  return randomBytes(16).toString("hex");
}

export function lost(
  index: number,
  stage: RouteStage,
  error: ShoalError,
): ShoalError {
  const details = { stage: index, peer: stage.peer };
  return new ShoalError(
    "STAGE_LOST",
    `stage ${index} (${layersOf(stage)}) was lost: ${error.message}`,
    details,
    error,
  );
}

export function describe(route: readonly RouteStage[]): string {
  return route
    .map((stage, index) => `stage ${index}: ${layersOf(stage)}`)
    .join("; ");
}

export function parseError(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    return {
      code: "STAGE_FAILED",
      message: "a stage sent an error that is not JSON",
    };
  }
}
